# Runs a private Redis server for as long as standard input stays open, then stops it and removes
# its folder. Each line on standard input kills it, and starts it again over what it saved. The starter holds the other end of that pipe, so however it ends, even by SIGKILL,
# the pipe closes and everything goes.
#
# $1 folder
trap '' HUP INT TERM PIPE
folder=$1
cd "$folder" || exit 1

clean_up() {
    cd /
    rm -rf "$folder"
}

start() {
    redis-server --port 0 --unixsocket "$folder/redis.sock" --unixsocketperm 700 \
        --dir "$folder" --save '' --appendonly no --daemonize no \
        </dev/null >"$folder/log" 2>&1 &
    pid=$!
    until [ "$(redis-cli -s "$folder/redis.sock" ping 2>/dev/null)" = PONG ]; do
        if ! kill -0 "$pid" 2>/dev/null; then
            cat "$folder/log"
            clean_up
            exit 1
        fi
        sleep 0.01
    done
    echo "ready $pid"
}

start
# Until the starter is gone.
while read -r _; do
    kill -KILL "$pid"
    wait "$pid"
    start
done
kill -KILL "$pid"
wait "$pid"
clean_up
