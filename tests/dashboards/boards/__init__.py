"""The dashboards, one module for each."""

from boards import audit, cache, limits, operator, service, tenants

ALL = {
    "service.json": service.BOARD,
    "tenants.json": tenants.BOARD,
    "cache.json": cache.BOARD,
    "limits.json": limits.BOARD,
    "audit-keeper.json": audit.BOARD,
    "operator.json": operator.BOARD,
}
