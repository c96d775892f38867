//! One connection through the proxy.

use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

use super::faults::{Act, Faults, Place, To};
use super::frames::{Frames, Protocol};

/// Where the server listens.
#[derive(Debug, Clone)]
pub(super) enum Upstream {
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// Why a direction ended.
enum End {
    /// Its sender is done.
    Closed,
    /// A fault says so.
    Cut,
}

/// Passes messages both ways until a side closes, a fault cuts, or `cut` changes.
pub(super) async fn relay(
    client: TcpStream,
    upstream: Upstream,
    protocol: Protocol,
    faults: &Faults,
    cut: watch::Receiver<u64>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    match upstream {
        Upstream::Unix(path) => {
            let server = UnixStream::connect(path).await?;
            between(client, server, protocol, faults, cut).await
        }
        Upstream::Tcp(address) => {
            let server = TcpStream::connect(address).await?;
            server.set_nodelay(true)?;
            between(client, server, protocol, faults, cut).await
        }
    }
}

async fn between<S: AsyncRead + AsyncWrite>(
    client: TcpStream,
    server: S,
    protocol: Protocol,
    faults: &Faults,
    mut cut: watch::Receiver<u64>,
) -> io::Result<()> {
    let (mut client_frames, mut server_frames) = Frames::of(protocol);
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    let served = {
        let out = pump(
            &mut from_client,
            &mut to_server,
            &mut client_frames,
            To::Server,
            faults,
        );
        let back = pump(
            &mut from_server,
            &mut to_client,
            &mut server_frames,
            To::Client,
            faults,
        );
        tokio::pin!(out, back);
        tokio::select! {
            end = &mut out => match end? {
                End::Cut => Err(End::Cut),
                // The client says no more; it may still listen.
                End::Closed => Ok(None),
            },
            end = &mut back => end.map(|end| Ok(Some(end)))?,
            _ = cut.changed() => Err(End::Cut),
        }
    };
    match served {
        // The server is done, or its answers are cut: the client learns of it by the drop.
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            to_server.shutdown().await?;
            pump(
                &mut from_server,
                &mut to_client,
                &mut server_frames,
                To::Client,
                faults,
            )
            .await?;
            to_client.shutdown().await
        }
        Err(_) => {
            drop((from_client, to_client));
            drain(from_server, to_server).await
        }
    }
}

/// Lets the server do what it was sent, and listens to no answer.
async fn drain<S: AsyncRead + AsyncWrite>(
    mut from: ReadHalf<S>,
    mut to: WriteHalf<S>,
) -> io::Result<()> {
    to.shutdown().await?;
    let mut rest = [0; 4096];
    while from.read(&mut rest).await? > 0 {}
    Ok(())
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    frames: &mut Frames,
    way: To,
    faults: &Faults,
) -> io::Result<End> {
    let mut received = Vec::new();
    loop {
        while let Some(frame) = frames.first(&received) {
            let message: Vec<u8> = received.drain(..frame.length).collect();
            let act = if frame.counts { faults.next(way) } else { None };
            match act {
                None => {}
                Some(Act::Hold(gate)) => gate.pass().await,
                Some(Act::Delay(duration)) => wait(duration).await,
                Some(Act::Cut(place)) => {
                    let sent = match place {
                        Place::Before => 0,
                        Place::Within => message.len() / 2,
                        Place::After => message.len(),
                    };
                    to.write_all(&message[..sent]).await?;
                    to.flush().await?;
                    return Ok(End::Cut);
                }
            }
            to.write_all(&message).await?;
        }
        to.flush().await?;
        if from.read_buf(&mut received).await? == 0 {
            // Last words that are no whole message, such as why a server hangs up.
            to.write_all(&received).await?;
            return Ok(End::Closed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a delay is what was asked for")]
async fn wait(duration: std::time::Duration) {
    tokio::time::sleep(duration).await;
}
