"""What the routes work with, built once at start and found as ``request.app.state.services``."""
