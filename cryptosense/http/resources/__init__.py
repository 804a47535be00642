"""A file per resource; the routers in the order in which paths are matched, the busiest first."""

from cryptosense.http.resources import auth, csrf_token, documents, insights, operations, portfolios, tokens

ROUTERS = (
    tokens.router,
    portfolios.router,
    csrf_token.router,
    insights.router,
    auth.router,
    operations.router,
    documents.router,
)
