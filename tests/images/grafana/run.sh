#!/bin/sh
# What Grafana's own start script does: secrets from files, then plugins, then the server.
set -e

if [ ! -w "$GF_PATHS_DATA" ]; then
    echo "GF_PATHS_DATA='$GF_PATHS_DATA' is not writable." >&2
fi
mkdir -p "$GF_PATHS_PLUGINS"

for name in $(env | sed -n 's/^\(GF_[A-Za-z0-9_]*\)__FILE=..*/\1/p'); do
    eval "value=\${$name:-} file=\$${name}__FILE"
    if [ -n "$value" ]; then
        echo "ERROR: Both $name and ${name}__FILE are set (but are exclusive)" >&2
        exit 1
    fi
    echo "Getting secret $name from $file"
    value=$(cat "$file")
    export "$name=$value"
    unset "${name}__FILE"
done

# A plugin that cannot be downloaded ends the start, as upstream.
IFS=,
for plugin in ${GF_INSTALL_PLUGINS:-}; do
    IFS=' '
    grafana cli --pluginsDir "$GF_PATHS_PLUGINS" plugins install $plugin
done

exec grafana server
