"""Grafana's document of the dashboard."""

from typing import Any, Final

from deploy.alerts.panels import ROWS, Panel

UID: Final = "payments"
SCHEMA_VERSION: Final = 39
"""Of Grafana 11; later ones migrate it when they load it."""
WIDTH: Final = 24
PANEL: Final = (12, 8)
"""Width and height of a panel, in Grafana's units; a row of the dashboard is WIDTH wide."""
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    """Return the document."""
    return {
        "uid": UID,
        "title": "Payments",
        "tags": ["payments"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": SCHEMA_VERSION,
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}
            ]
        },
        "annotations": {"list": []},
        "panels": _panels(),
    }


def _panels() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    width, height = PANEL
    y = 0
    for title, panels in ROWS.items():
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        made.append(
            {"id": len(made) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        )
        y += 1
        for number, panel in enumerate(panels):
            line, column = divmod(number, WIDTH // width)
            place = {"x": column * width, "y": y + line * height, "w": width, "h": height}
            made.append(_panel(len(made) + 1, panel, place))
        y += -(-len(panels) * width // WIDTH) * height
    return made


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit.value, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": _SOURCE, "expr": query.expression, "legendFormat": query.legend}
            for n, query in enumerate(panel.queries)
        ],
    }
