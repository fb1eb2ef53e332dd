"""{{ title }}: models, migrations{% if service %} and an HTTP service{% endif %}."""
