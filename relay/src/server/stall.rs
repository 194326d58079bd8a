//! A socket that breaks when the other side takes nothing for too long, and that tells when it has left.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::Sleep,
};

use super::{Place, head::Heard};

/// A TCP stream whose writes fail after `patience` without progress.
#[derive(Debug)]
pub(super) struct Stall {
    stream: OwnedWriteHalf,
    _place: Place,
    heard: Heard,
    patience: Duration,
    /// Runs only while a write waits, so an idle connection costs no timer.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Tells when the other side of a [`Stall`] has closed its end, also while bytes that it sent before
/// wait to be read.
#[derive(Debug)]
pub(super) struct Line(OwnedReadHalf);

/// What wakes whoever waits for the other side's end: on Linux its end alone, elsewhere bytes too.
#[cfg(any(target_os = "linux", target_os = "android"))]
const END: Interest = Interest::PRIORITY;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const END: Interest = Interest::READABLE;

/// How long bytes that are no end let the next look wait.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Line {
    /// Completes once the other side has closed its end.
    pub(super) async fn left(&self) {
        while let Ok(ready) = self.0.ready(END).await {
            if ready.is_read_closed() {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl Stall {
    pub(super) fn new(stream: TcpStream, place: Place, heard: Heard, patience: Duration) -> (Stall, Line) {
        let (line, stream) = stream.into_split();
        (Stall { stream, _place: place, heard, patience, deadline: None }, Line(line))
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.deadline = None;
            return write;
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Stall {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The half that reads is the line's.
        let stream: &TcpStream = self.stream.as_ref();
        loop {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    self.heard.note();
                    return Poll::Ready(read.map(drop));
                }
            }
        }
    }
}

impl AsyncWrite for Stall {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
