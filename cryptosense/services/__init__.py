"""What is decided: CSRF, rate limits, caching, sessions, market data, portfolios, predictions and risk."""
