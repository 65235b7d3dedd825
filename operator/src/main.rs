//! Wiring only.

use anyhow::Context as _;
use clap::Parser;
use operator::command::{Command, Program};
use operator::release;
use tracing_subscriber::EnvFilter;

fn main() -> anyhow::Result<()> {
    let program = Program::parse();
    let filter = std::env::var("WEIR_LOG").unwrap_or_else(|_| "info".to_owned());
    // A request that fails is said by whoever sent it; the client says it once more.
    let filter = EnvFilter::new(format!("kube_client=warn,kube_client::client::builder=off,{filter}"));
    tracing_subscriber::fmt().with_env_filter(filter).json().with_writer(std::io::stderr).init();
    // The one TLS provider of the process; an error means that somebody installed it before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the async runtime")?;
    match program.command {
        Command::Run(settings) => {
            runtime.block_on(operator::controller::run(settings)).context("the operator ended")
        }
        Command::Release(options) => {
            runtime.block_on(release::run(&options)).context("not every pipeline was released")
        }
    }
}
