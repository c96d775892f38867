# Runs a private PostgreSQL server for as long as standard input stays open, then stops it and
# removes its folder. The starter holds the other end of that pipe, so however it ends, even by
# SIGKILL, the pipe closes and everything goes.
#
# $1 folder, $2 directory of the binaries, $3 user to run as or empty, rest: server settings.
# Commands, a line each, answered by a line that begins with «ready»: crash, start.
trap '' HUP INT TERM PIPE
folder=$1 bin=$2 user=$3
shift 3
cd "$folder" || exit 1

as_user() {
    if [ -n "$user" ]; then
        # Replaces itself by the command, so that $! below is the server's own process id.
        exec setpriv --reuid "$user" --regid "$user" --init-groups "$@"
    fi
    exec "$@"
}

clean_up() {
    cd /
    # A killed server's children may take a moment to notice.
    tries=0
    until rm -rf "$folder" 2>/dev/null && [ ! -e "$folder" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 500 ]; then exit 1; fi
        sleep 0.02
    done
}

# Starts the server over its data and waits until it takes connections.
start() {
    tries=0
    while :; do
        (as_user "$bin/postgres" -D "$folder/data" -k "$folder" "$@") \
            </dev/null >"$folder/log" 2>&1 &
        pid=$!
        while kill -0 "$pid" 2>/dev/null; do
            if "$bin/pg_isready" -q -h "$folder" -U postgres; then return 0; fi
            sleep 0.02
        done
        wait "$pid"
        # The children of one that was killed hold its memory until they have noticed.
        grep -q 'shared memory block' "$folder/log" || return 1
        tries=$((tries + 1))
        if [ "$tries" -gt 500 ]; then return 1; fi
        sleep 0.02
    done
}

if [ -n "$user" ]; then chown "$user" "$folder"; fi
if ! (as_user "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C -N) \
    </dev/null >"$folder/log" 2>&1; then
    cat "$folder/log"
    clean_up
    exit 1
fi
if ! start "$@"; then
    cat "$folder/log"
    clean_up
    exit 1
fi
echo "ready $pid"

# Until the starter is gone.
while read -r command; do
    case $command in
    crash)
        kill -KILL "$pid"
        wait "$pid"
        echo "ready $pid"
        ;;
    start)
        if kill -0 "$pid" 2>/dev/null; then
            echo "it runs"
        elif start "$@"; then
            echo "ready $pid"
        else
            tail -n 1 "$folder/log"
        fi
        ;;
    esac
done
# Also where a test left it stopped.
kill -CONT "$pid" 2>/dev/null
kill -QUIT "$pid" 2>/dev/null
wait "$pid"
clean_up
