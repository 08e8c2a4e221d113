"""The service that hospitals deal with: an HTTP gateway in front of TorchServe, durable intake and the review page."""
