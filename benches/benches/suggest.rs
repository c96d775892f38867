//! Quick suggestions (docs/performance.md, row 5): two services, one requirement, two missing.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sheen_core::locale::Locale;
use sheen_core::suggest::{Analysis, analyse_prompt, suggest};

fn suggestions(c: &mut Criterion) {
    let analysis = Analysis {
        business_type: Some("salon"),
        services: &["haircut and styling", "online booking"],
        functional_requirements: &["sell hair products"],
        missing_information: &["pricing", "opening hours"],
    };
    let mut group = c.benchmark_group("quick suggestions");
    for (name, locale) in [("en", Locale::En), ("ar", Locale::Ar)] {
        group.bench_function(name, |b| {
            b.iter(|| suggest(black_box(&analysis), black_box(locale)));
        });
    }
    // Nothing can read the texts faster than it takes to look at each byte.
    group.bench_function("floor: every byte looked at once", |b| {
        b.iter(|| {
            let analysis = black_box(&analysis);
            let lists = [
                analysis.services,
                analysis.functional_requirements,
                analysis.missing_information,
            ];
            let texts = lists.into_iter().flatten();
            texts
                .flat_map(|text| text.bytes())
                .filter(u8::is_ascii_alphanumeric)
                .count()
        });
    });
    group.finish();

    let mut group = c.benchmark_group("suggestions from a prompt");
    for (name, prompt) in [
        (
            "en",
            "Create a salon website with online booking, our prices and opening hours",
        ),
        (
            "ar",
            "أنشئ موقعًا لصالون مع الحجز عبر الإنترنت والأسعار وساعات العمل",
        ),
    ] {
        group.bench_function(name, |b| b.iter(|| analyse_prompt(black_box(prompt))));
    }
    group.finish();
}

criterion_group!(benches, suggestions);
criterion_main!(benches);
