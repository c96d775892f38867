//! Tasks of the house: `cargo xtask test` and `cargo xtask bench`.

mod bench;
mod install;
mod run;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  test   install what is missing, then everything that must pass
  bench  run the benchmarks and write their tables into docs/performance.md";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next();
    if let Some(unknown) = arguments.next() {
        eprintln!("unknown argument: {unknown}\n\n{USAGE}");
        return ExitCode::from(2);
    }
    let outcome = match task.as_deref() {
        Some("test") => run::House::find().and_then(|house| test::test(&house)),
        Some("bench") => run::House::find().and_then(|house| bench::bench(&house)),
        Some("help" | "--help" | "-h") => {
            eprintln!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("\nxtask: {problem}");
            ExitCode::FAILURE
        }
    }
}
