//! Tasks of the house: `cargo xtask test`, `prove`, `bench` and `contracts`.

mod bench;
mod contracts;
mod fuzz;
mod install;
mod prove;
mod run;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  test           install what is missing, then everything that must pass
  prove [NAME…]  the long proofs, all or those named
  bench [NAME…]  run the benchmarks and write what they measured into docs/performance.md, or
                 run those named and show it; the name `page` writes the page from the figures
                 there are and runs nothing
  contracts      write the clauses of every store into docs/contracts.md

proofs:
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let usage = format!("{USAGE}{}", prove::list());
    if let (Some("test" | "contracts"), Some(unknown)) = (task.as_deref(), rest.first()) {
        eprintln!("unknown argument: {unknown}\n\n{usage}");
        return ExitCode::from(2);
    }
    let outcome = match task.as_deref() {
        Some("test") => run::House::find().and_then(|house| test::test(&house)),
        Some("prove") => run::House::find().and_then(|house| prove::prove(&house, &rest)),
        Some("bench") => run::House::find().and_then(|house| bench::bench(&house, &rest)),
        Some("contracts") => run::House::find().and_then(|house| contracts::contracts(&house)),
        Some("help" | "--help" | "-h") => {
            eprintln!("{usage}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{usage}");
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
