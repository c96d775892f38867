// A stream through better-sse, as its guide has it. Posts become events; the port goes to stdout.
import { createServer } from 'node:http';
import { createChannel, createSession } from 'better-sse';

const channel = createChannel();
let last = 0;

const server = createServer(async (request, response) => {
    if (request.method !== 'POST') {
        channel.register(await createSession(request, response, { keepAlive: null }));
        return;
    }
    let text = '';
    for await (const piece of request) {
        text += piece;
    }
    last += 1;
    channel.broadcast(JSON.parse(text), 'build_log', { eventId: String(last) });
    response.writeHead(204).end();
});

server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', 4096, () => console.log(server.address().port));
