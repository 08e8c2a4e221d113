"""The pages for people: login, worklist, note and overview; rendered here, without a build step."""
