"""The proof that the dashboards are right, without Grafana: no package registry carries it."""
