//! The program: hands the real surroundings to the library.

use std::io::{self, BufReader, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use stagedoor_crypto::SystemEntropy;
use stagedoor_ctl::{Surroundings, Terminal, run};
use stagedoor_domain::SystemClock;

fn main() -> ExitCode {
    let mut surroundings = Surroundings {
        environment: Box::new(variable),
        input: Box::new(BufReader::new(io::stdin())),
        output: Box::new(io::stdout()),
        messages: Box::new(io::stderr()),
        terminal: Terminal { input: io::stdin().is_terminal(), output_width: output_width() },
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(run(std::env::args_os().collect(), &mut surroundings));
            ExitCode::from(exit as u8)
        }
        Err(_) => ExitCode::FAILURE,
    }
}

#[expect(clippy::disallowed_methods, reason = "the program's own settings; the library has them handed in")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn output_width() -> Option<u16> {
    let stdout = io::stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout))?.ok()?;
    Some(if size.ws_col == 0 { 80 } else { size.ws_col })
}
