"""Who may do what: API keys for services, OIDC and one-time logins for people, sessions, CSRF and rate limits."""
