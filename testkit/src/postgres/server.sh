# Runs a private PostgreSQL server for as long as standard input stays open, then stops it and
# removes its folder. The starter holds the other end of that pipe, so however it ends, even by
# SIGKILL, the pipe closes and everything goes.
#
# $1 folder, $2 directory of the binaries, $3 user to run as or empty, rest: server settings.
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
    rm -rf "$folder"
}

if [ -n "$user" ]; then chown "$user" "$folder"; fi
if ! (as_user "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C -N) \
    </dev/null >"$folder/log" 2>&1; then
    cat "$folder/log"
    clean_up
    exit 1
fi
(as_user "$bin/postgres" -D "$folder/data" -k "$folder" "$@") </dev/null >"$folder/log" 2>&1 &
pid=$!
until "$bin/pg_isready" -q -h "$folder" -U postgres; do
    if ! kill -0 "$pid" 2>/dev/null; then
        cat "$folder/log"
        clean_up
        exit 1
    fi
    sleep 0.02
done
echo "ready $pid"

# Until the starter is gone.
cat >/dev/null
kill -QUIT "$pid"
wait "$pid"
clean_up
