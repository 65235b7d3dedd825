//! SIGINT and SIGTERM become an intent: finish the commit, then end.

use crate::pod::Pod;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Sets `stop` at the first signal; the second one ends the process at once.
pub fn stop_on_signal(pod: &Arc<Pod>) {
    let pod = pod.clone();
    let listen = move || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if pod.intend(|intents| std::mem::replace(&mut intents.stop, true)) {
                    std::process::exit(130);
                }
            }
        })
    };
    // Without a listener a signal ends the process, which loses nothing that was committed.
    let _thread = std::thread::Builder::new().name("signals".to_owned()).spawn(listen);
}
