# Runs a private Redis Cluster for as long as standard input stays open, then stops it and removes
# its folder. The starter holds the other end of that pipe, so however it ends, even by SIGKILL,
# the pipe closes and everything goes.
#
# $1 folder, then for each master its port and the port of its bus.
trap '' HUP INT TERM PIPE
folder=$1
shift
cd "$folder" || exit 1
pids='' ports='' first='' epoch=0

end() {
    cd /
    for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
    wait
    rm -rf "$folder"
}

give_up() {
    cat "$folder"/*.log
    end
    exit 1
}

# $1 port, rest: what to tell it.
tell() {
    at=$1
    shift
    redis-cli -h 127.0.0.1 -p "$at" "$@" >>"$folder/cli.log" 2>&1 || give_up
}

# Waits until a master, $1 port, says each of the rest of itself.
says() {
    at=$1
    shift
    for line in "$@"; do
        until redis-cli -h 127.0.0.1 -p "$at" cluster info 2>/dev/null | grep -q "^$line"; do
            for pid in $pids; do
                kill -0 "$pid" 2>/dev/null || give_up
            done
            sleep 0.02
        done
    done
}

while [ $# -gt 0 ]; do
    mkdir "$1"
    redis-server --bind 127.0.0.1 --port "$1" --cluster-port "$2" --cluster-enabled yes \
        --cluster-config-file nodes.conf --dir "$folder/$1" --save '' --appendonly no \
        --daemonize no </dev/null >"$folder/$1.log" 2>&1 &
    pids="$pids $!"
    ports="$ports $1 $2"
    shift 2
done

set -- $ports
masters=$(($# / 2)) from=0
first=$1
while [ $# -gt 0 ]; do
    epoch=$((epoch + 1))
    to=$((16384 * epoch / masters))
    says "$1" cluster_state
    tell "$1" cluster addslotsrange "$from" $((to - 1))
    tell "$1" cluster set-config-epoch "$epoch"
    [ "$1" = "$first" ] || tell "$first" cluster meet 127.0.0.1 "$1" "$2"
    from=$to
    shift 2
done
set -- $ports
while [ $# -gt 0 ]; do
    says "$1" "cluster_known_nodes:$masters" cluster_state:ok
    shift 2
done
echo "ready$pids"

# Until the starter is gone.
cat >/dev/null
end
