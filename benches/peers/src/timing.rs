//! Whether the time of a refusal tells what it must not (dudect, Reparaz et al. 2017): where a
//! signature begins to be wrong, and whether a key id is known.
//!
//! Each pair of classes is measured 200,000 times, both read from the same memory, and the greatest
//! t of Welch's tests over cropped samples is judged. A comparison that stops at the first byte that
//! differs is measured beside them: where it is not found out, this machine finds out nothing. A
//! machine that others use finds something once; what is found five times, each time the same class
//! being the slower one, is there.
//!
//! `timing` measures and fails when a class can be told; `timing --measure` is what it reads.

use std::hint::black_box;
use std::process::{Command, ExitCode};

use dudect_bencher::ctbench::{BenchMetadata, BenchName, BenchOpts, run_benches_console};
use dudect_bencher::rand::RngExt;
use dudect_bencher::{BenchRng, Class, CtRunner};
use sheen_auth::signature::{
    Headers, KeyRing, Mode, Request, Scratch, SignedHeaders, Signer, SigningKey, Verifier,
};
use sheen_auth::token::ViewerTokens;
use sheen_core::entropy::SeededEntropy;
use sheen_core::id::{BuildId, KeyId, PrincipalId, UserId};
use sheen_core::secret::Secret;
use sheen_core::time::Timestamp;

const MEASURED: usize = 200_000;
/// Beyond this a difference is found out; dudect's authors call 10 «probably leaks».
const MOST: f64 = 10.0;
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// The control's name begins so: it must be found out.
const CONTROL: &str = "control";

fn benches() -> Vec<BenchMetadata> {
    let bench = |name, benchfn| BenchMetadata {
        name: BenchName(name),
        seed: Some(1),
        benchfn,
    };
    vec![
        bench("control: a comparison that stops early", control),
        bench("where a v2 signature begins to be wrong", v2_signature),
        bench("where a v1 signature begins to be wrong", v1_signature),
        bench("whether a key id is known", key_id),
        bench("where a viewer token's signature begins to be wrong", token),
    ]
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--measure") {
        let done = run_benches_console(BenchOpts::default(), benches());
        return if done.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    match judged() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// How often something must be found, with the same sign.
const ROUNDS: usize = 5;

/// Measures, again where something was found.
fn judged() -> Result<(), String> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let told = measured()?;
        let benches = benches();
        let figures = benches.iter().map(|bench| figure(bench.name.0, &told));
        rounds.push(figures.collect::<Result<Vec<f64>, String>>()?);
        let problems = problems(&rounds);
        if problems.is_empty() {
            return Ok(());
        }
        eprintln!(
            "round {} of {ROUNDS}: {}",
            rounds.len(),
            problems.join("; ")
        );
    }
    Err(problems(&rounds).join("\n"))
}

/// What every round found.
fn problems(rounds: &[Vec<f64>]) -> Vec<String> {
    let names = benches().into_iter().map(|bench| bench.name.0).enumerate();
    names
        .filter_map(|(place, name)| {
            let figures: Vec<f64> = rounds.iter().map(|round| round[place]).collect();
            let slower = figures.iter().all(|t| *t > MOST) || figures.iter().all(|t| *t < -MOST);
            if name.starts_with(CONTROL) {
                (!slower).then(|| format!("{name}: t = {figures:?}, not found out"))
            } else {
                slower.then(|| format!("{name}: t = {figures:?}, can be told"))
            }
        })
        .collect()
}

fn measured() -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program).arg("--measure").output();
    let output = output.map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    eprintln!("{told}");
    if output.status.success() {
        Ok(told)
    } else {
        Err("the measurement failed".to_owned())
    }
}

/// The greatest t of a bench.
fn figure(name: &str, told: &str) -> Result<f64, String> {
    let figures = |line: &&str| line.contains(name) && line.contains("max t = ");
    let line = told.lines().find(figures);
    let line = line.ok_or_else(|| format!("{name}: not measured"))?;
    let t = line.split_once("max t = ").and_then(|(_, rest)| {
        let figure = rest.split(',').next()?.trim().trim_start_matches('+');
        figure.parse().ok()
    });
    t.ok_or_else(|| format!("{name}: no figure in {line:?}"))
}

fn class(rng: &mut BenchRng) -> Class {
    if rng.random::<bool>() {
        Class::Left
    } else {
        Class::Right
    }
}

fn control(runner: &mut CtRunner, rng: &mut BenchRng) {
    let whole = [7_u8; 256];
    let mut other = whole;
    for _ in 0..MEASURED {
        let class = class(rng);
        other = whole;
        match class {
            Class::Left => other[0] = 8,
            Class::Right => other[255] = 8,
        }
        let pairs = || black_box(&whole).iter().zip(black_box(&other));
        runner.run_one(class, || pairs().all(|(a, b)| a == b));
    }
    black_box(other);
}

fn key(number: u8) -> SigningKey {
    SigningKey::new(
        KeyId::parse(&format!("key-{number}")).expect("an id"),
        PrincipalId::parse("web").expect("an id"),
        Secret::new(format!("correct-horse-battery-staple-32-bytes-{number}"))
            .expect("long enough"),
    )
}

fn verifier() -> Verifier {
    Verifier::new(KeyRing::new(vec![key(1)]).expect("a ring"), Mode::Dual)
}

fn signed() -> SignedHeaders {
    let signer = Signer::new(key(1)).with_v1();
    let signed = signer.sign("GET", "/v1/builds", None, b"", NOW, &SeededEntropy::new(1));
    signed.expect("it can be signed")
}

/// The same text, wrong in its first or in its last character.
fn wrong(good: &str, at: usize) -> String {
    let other = if &good[at..=at] == "0" { "1" } else { "0" };
    let mut wrong = good.to_owned();
    wrong.replace_range(at..=at, other);
    wrong
}

/// Measures a step over a text that each class gives: always in the same memory, put there without
/// a branch on the class, and with the processor busy in between.
fn over(
    runner: &mut CtRunner,
    rng: &mut BenchRng,
    texts: [&str; 2],
    step: impl FnMut(&str) -> bool,
) {
    let step = std::cell::RefCell::new(step);
    let longest = texts[0].len().max(texts[1].len());
    let mut text = vec![b'-'; longest];
    let bytes = texts.map(str::as_bytes);
    for _ in 0..MEASURED {
        let at = usize::from(rng.random::<bool>());
        let text = &mut text[..bytes[at].len()];
        text.copy_from_slice(bytes[at]);
        for spin in 0..256 {
            black_box(spin);
        }
        let text = std::str::from_utf8(black_box(text)).expect("ASCII");
        let class = [Some(Class::Left), Some(Class::Right)][at].take();
        let class = class.expect("one of two");
        runner.run_one(class, || {
            let is_let_in = (step.borrow_mut())(text);
            assert!(!is_let_in);
        });
    }
}

fn signature_of(runner: &mut CtRunner, rng: &mut BenchRng, is_v2: bool) {
    let (verifier, signed, mut scratch) = (verifier(), signed(), Scratch::new());
    let good = if is_v2 {
        signed.sig_v2.as_str()
    } else {
        signed.signature.as_deref().expect("v1 is signed too")
    };
    let (early, late) = (wrong(good, 0), wrong(good, 63));
    over(runner, rng, [&early, &late], |text| {
        let headers = if is_v2 {
            Headers {
                sig_v2: Some(text),
                signature: None,
                ..signed.as_headers()
            }
        } else {
            Headers {
                signature: Some(text),
                ..Headers::default()
            }
        };
        let request = Request::new("GET", "/v1/builds", None, headers, b"");
        verifier.check(&request, NOW, &mut scratch).is_ok()
    });
}

fn v2_signature(runner: &mut CtRunner, rng: &mut BenchRng) {
    signature_of(runner, rng, true);
}

fn v1_signature(runner: &mut CtRunner, rng: &mut BenchRng) {
    signature_of(runner, rng, false);
}

fn key_id(runner: &mut CtRunner, rng: &mut BenchRng) {
    // The key that is named is not the one that lends itself to ids that nobody has.
    let ring = KeyRing::new((1..=3).map(key).collect()).expect("a ring");
    let verifier = Verifier::new(ring, Mode::Dual);
    let (signed, mut scratch) = (signed(), Scratch::new());
    let forged = wrong(&signed.sig_v2, 7);
    over(runner, rng, ["key-2", "key-0"], |id| {
        let headers = Headers {
            sig_v2: Some(&forged),
            signature: None,
            key_id: Some(id),
            ..signed.as_headers()
        };
        let request = Request::new("GET", "/v1/builds", None, headers, b"");
        verifier.check(&request, NOW, &mut scratch).is_ok()
    });
}

fn token(runner: &mut CtRunner, rng: &mut BenchRng) {
    let secret = Secret::new("a-viewer-token-secret-of-its-own-and-long-enough");
    let tokens = ViewerTokens::new(vec![secret.expect("long enough")]).expect("one secret");
    let user = UserId::parse("u_1").expect("an id");
    let build = BuildId::parse("b_1").expect("an id");
    let (good, _) = tokens.issue(&user, &build, NOW, ViewerTokens::MAX_LIFE);
    let good = good.expose();
    let signature = good.rfind('.').expect("three parts") + 1;
    // Not the very last character, whose lowest bits must be zero.
    let (early, late) = (wrong(good, signature), wrong(good, good.len() - 2));
    over(runner, rng, [&early, &late], |token| {
        tokens.verify(token, NOW).is_ok()
    });
}
