//! What must allocate nothing, counted.

use sheen_core::locale::Locale;
use sheen_core::suggest::{Analysis, analyse_prompt, suggest};

#[test]
fn quick_suggestions_allocate_nothing() {
    let analysis = Analysis {
        services: &["haircuts and colouring", "online appointments"],
        functional_requirements: &["sell hair care products"],
        missing_information: &["pricing", "Öffnungszeiten, hours"],
        ..Analysis::default()
    };
    for locale in [Locale::En, Locale::Ar] {
        let counted = allocation_counter::measure(|| {
            assert_eq!(suggest(&analysis, locale).as_slice().len(), 4);
        });
        assert_eq!(counted.count_total, 0);
    }
    let counted = allocation_counter::measure(|| {
        let found = analyse_prompt("أنشئ موقعًا للحجز with prices");
        assert_eq!(found.as_analysis().services.len(), 1);
    });
    assert_eq!(counted.count_total, 0);
}
