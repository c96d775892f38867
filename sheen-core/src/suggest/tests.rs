use proptest::prelude::*;

use super::*;
use crate::locale::Locale;

fn ids(services: &[&str], requirements: &[&str], missing: &[&str]) -> Vec<&'static str> {
    let analysis = Analysis {
        business_type: None,
        services,
        functional_requirements: requirements,
        missing_information: missing,
    };
    suggest(&analysis, Locale::En)
        .iter()
        .map(|s| s.id)
        .collect()
}

const ALWAYS: [&str; 3] = ["qs-seo", "qs-analytics", "qs-accessibility"];

/// The suggestions before those that are always there, for a business that takes bookings.
fn fired(services: &[&str], requirements: &[&str], missing: &[&str]) -> Vec<&'static str> {
    let services: Vec<_> = services.iter().copied().chain(["booking"]).collect();
    let mut ids = ids(&services, requirements, missing);
    ids.retain(|id| !ALWAYS.contains(id));
    ids
}

#[test]
fn missing_information_fires_its_rule() {
    for (text, id) in [
        ("pricing", "qs-pricing"),
        ("cost", "qs-pricing"),
        ("Costs per service", "qs-pricing"),
        ("contact", "qs-contact"),
        ("LOCATION", "qs-contact"),
        ("hours", "qs-hours"),
        ("weekly schedule", "qs-hours"),
        ("contáct détails", "qs-contact"),
        ("co\u{301}st", "qs-pricing"),
    ] {
        assert_eq!(fired(&[], &[], &[text]), [id], "{text}");
    }
    for text in [
        "",
        "price",
        "accost",
        "hour",
        "reschedule",
        "collocation",
        "цены",
    ] {
        assert_eq!(fired(&[], &[], &[text]), [""; 0], "{text}");
    }
}

#[test]
fn booking_is_suggested_unless_a_service_mentions_it() {
    for text in [
        "booking",
        "bookings",
        "Online BOOKING",
        "appointments",
        "re-booking",
        "Réservation",
        "table_reservation",
    ] {
        assert_eq!(ids(&[text], &[], &[]), ALWAYS, "{text}");
    }
    for text in [
        "conservation",
        "prebooking",
        "2booking",
        "book",
        "haircut",
        "حجز",
    ] {
        assert_eq!(ids(&[text], &[], &[])[0], "qs-booking", "{text}");
    }
    // Neither a requirement nor a lack is a service.
    assert_eq!(ids(&[], &["booking"], &["booking"])[0], "qs-booking");
}

#[test]
fn payment_needs_something_to_sell_and_no_way_to_pay() {
    for text in ["sell", "Selling shoes", "products", "a Product catalogue"] {
        assert_eq!(fired(&[], &[text], &[]), ["qs-payment"], "{text}");
    }
    for text in ["resell", "byproduct", "booking"] {
        assert_eq!(fired(&[], &[text], &[]), [""; 0], "{text}");
    }
    for text in [
        "payment",
        "Payments by card",
        "checkout",
        "cart",
        "shopping-cart",
    ] {
        assert_eq!(fired(&[text], &["sell"], &[]), [""; 0], "{text}");
    }
    assert_eq!(fired(&["repayment"], &["sell"], &[]), ["qs-payment"]);
    assert_eq!(
        fired(&["sell"], &[], &[]),
        [""; 0],
        "a service is not a requirement"
    );
}

#[test]
fn at_most_four_by_confidence_and_ties_in_table_order() {
    assert_eq!(
        ids(&[], &["sell"], &["hours", "location", "cost"]),
        ["qs-pricing", "qs-contact", "qs-hours", "qs-booking"]
    );
    assert_eq!(
        ids(&[], &["sell"], &[]),
        ["qs-booking", "qs-payment", "qs-seo", "qs-analytics"]
    );
    assert_eq!(
        ids(&[], &[], &["cost pricing cost"])[..2],
        ["qs-pricing", "qs-booking"]
    );
    assert_eq!(ids(&[], &[], &[])[..1], ["qs-booking"]);
}

#[test]
fn tables_fall_by_confidence_and_agree_but_for_their_words() {
    for table in [&texts::EN, &texts::AR] {
        assert!(table.is_sorted_by(|a, b| a.confidence >= b.confidence));
    }
    for (en, ar) in texts::EN.iter().zip(&texts::AR) {
        assert_eq!(
            (en.id, en.category, en.confidence),
            (ar.id, ar.category, ar.confidence)
        );
        for text in [en.title, en.description, en.prompt] {
            assert!(!text.is_empty() && text.is_ascii(), "{text}");
        }
        for text in [ar.title, ar.description, ar.prompt] {
            assert!(
                text.chars()
                    .all(|c| !c.is_alphanumeric() || ('\u{600}'..='\u{6ff}').contains(&c)),
                "{text}"
            );
        }
    }
}

#[test]
fn an_answer_has_the_shape_of_the_wire() {
    let services = ["booking".to_owned()];
    let analysis = Analysis {
        services: &services,
        ..Analysis::default()
    };
    let json = serde_json::to_string(&suggest(&analysis, Locale::En)).unwrap();
    let first = r#"[{"id":"qs-seo","title":"Be found in search","description":"Help search engines show your site to people near you.","category":"seo","prompt":"Add page titles, meta descriptions, structured data and a sitemap.","confidence":0.7},"#;
    assert!(json.starts_with(first), "{json}");
    assert!(json.contains(r#""category":"performance""#) && json.contains(r#""confidence":0.6"#));
    let missing = ["hours", "cost"];
    let analysis = Analysis {
        missing_information: &missing,
        ..Analysis::default()
    };
    let value = serde_json::to_value(suggest(&analysis, Locale::Ar)).unwrap();
    assert_eq!(value[0]["confidence"].to_string(), "0.9");
    assert_eq!(value[1]["confidence"].to_string(), "0.85");
}

#[test]
fn languages_without_texts_of_their_own_are_told_as_english() {
    let analysis = Analysis::<&str>::default();
    for locale in [Locale::En, Locale::Fr, Locale::Es, Locale::De] {
        assert_eq!(content_language(locale), Locale::En);
        assert_eq!(suggest(&analysis, locale), suggest(&analysis, Locale::En));
    }
    assert_eq!(content_language(Locale::Ar), Locale::Ar);
    assert_eq!(suggest(&analysis, Locale::Ar).as_slice()[0], &texts::AR[3]);
}

fn from_prompt(prompt: &str) -> Vec<&'static str> {
    suggest(&analyse_prompt(prompt).as_analysis(), Locale::En)
        .iter()
        .map(|s| s.id)
        .collect()
}

#[test]
fn a_prompt_is_read_in_english() {
    let analysis = analyse_prompt("Create a salon website");
    assert_eq!(
        analysis.as_analysis().missing_information,
        ["pricing", "contact", "hours"]
    );
    assert_eq!(
        from_prompt("Create a salon website"),
        ["qs-pricing", "qs-contact", "qs-hours", "qs-booking"]
    );
    assert_eq!(
        from_prompt("Sell my products; prices, phone and opening hours below; reservations too"),
        ["qs-payment", "qs-seo", "qs-analytics", "qs-accessibility"]
    );
    assert_eq!(
        from_prompt(
            "A shop with checkout that sells tea: price list, e-mail, timetable, email, booking"
        ),
        ["qs-seo", "qs-analytics", "qs-accessibility"]
    );
}

#[test]
fn a_prompt_is_read_in_arabic_with_what_is_written_onto_a_word() {
    // «Create a website for a salon»: «website» is no mention of a location.
    assert_eq!(
        from_prompt("أنشئ موقعًا لصالون تجميل"),
        ["qs-pricing", "qs-contact", "qs-hours", "qs-booking"]
    );
    // «… with online booking, prices, opening hours and contact details»
    for prompt in [
        "أنشئ موقعًا لصالون مع الحجز عبر الإنترنت والأسعار وساعات العمل وبيانات التواصل",
        "موقع للحجز بأسعار، وبالدوام، وعنوان",
        "مَوْقِع حـجـوزات سِعر دوام هاتف",
    ] {
        assert_eq!(from_prompt(prompt), ALWAYS, "{prompt}");
    }
    // «I want to sell my products»
    let analysis = analyse_prompt("أريد أن أبيع منتجاتي");
    assert_eq!(
        analysis.as_analysis().functional_requirements,
        ["sell products"]
    );
    assert!(
        analyse_prompt("متجر وسلة والدفع")
            .as_analysis()
            .services
            .contains(&"payment")
    );
}

#[test]
fn a_prompt_is_read_to_its_bound_and_no_further() {
    let far = "é".repeat(8 * 1024) + " booking";
    assert!(analyse_prompt(&far).as_analysis().services.is_empty());
    let near = " é".repeat(5 * 1024) + " booking";
    assert_eq!(analyse_prompt(&near).as_analysis().services, ["booking"]);
}

/// The rules as the wire words them, with none of the speed.
fn by_the_book(
    services: &[String],
    requirements: &[String],
    missing: &[String],
) -> Vec<&'static str> {
    use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
    let mentions = |texts: &[String], keywords: &[&str]| {
        texts.iter().any(|text| {
            let folded: String = text
                .nfd()
                .filter(|&c| !is_combining_mark(c))
                .flat_map(char::to_lowercase)
                .collect();
            folded
                .split(|c: char| !c.is_alphanumeric())
                .any(|word| keywords.iter().any(|k| word.starts_with(k)))
        })
    };
    let fires = [
        mentions(missing, &["pricing", "cost"]),
        mentions(missing, &["contact", "location"]),
        mentions(missing, &["hours", "schedule"]),
        !mentions(services, &["booking", "appointment", "reservation"]),
        !mentions(services, &["payment", "checkout", "cart"])
            && mentions(requirements, &["sell", "product"]),
        true,
        true,
        true,
    ];
    let fired = texts::EN.iter().zip(fires).filter(|(_, fires)| *fires);
    fired.map(|(suggestion, _)| suggestion.id).take(4).collect()
}

fn texts_near_keywords() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "pricing",
            "COST",
            "contact",
            "Location",
            "hours",
            "schedule",
            "bookings",
            "appointment",
            "Réservation",
            "payment",
            "checkout",
            "cartoon",
            "Selling",
            "próduct",
            "conservation",
            "prebooking",
            "boo\u{301}king",
            "car",
            "حجز",
        ])
        .prop_map(str::to_owned),
        "[a-zé_. -]{0,6}",
    ];
    let text = prop::collection::vec((word, "[ ,_-]?"), 0..4)
        .prop_map(|words| words.into_iter().map(|(word, gap)| word + &gap).collect());
    prop::collection::vec(text, 0..4)
}

proptest! {
    #[test]
    fn the_rules_are_those_of_the_wire(
        services in texts_near_keywords(),
        requirements in texts_near_keywords(),
        missing in texts_near_keywords(),
    ) {
        let analysis = Analysis {
            business_type: None,
            services: &services,
            functional_requirements: &requirements,
            missing_information: &missing,
        };
        let ids: Vec<_> = suggest(&analysis, Locale::En).iter().map(|s| s.id).collect();
        prop_assert_eq!(ids, by_the_book(&services, &requirements, &missing));
    }

    #[test]
    fn any_text_is_answered_with_one_to_four_in_falling_order(
        texts in prop::collection::vec(any::<String>(), 0..5),
        prompt in any::<String>(),
    ) {
        let analysis = Analysis { services: &texts, missing_information: &texts, functional_requirements: &texts, ..Analysis::default() };
        for picked in [suggest(&analysis, Locale::Ar), suggest(&analyse_prompt(&prompt).as_analysis(), Locale::Ar)] {
            prop_assert!((3..=Suggestions::MAX).contains(&picked.as_slice().len()));
            prop_assert!(picked.as_slice().is_sorted_by(|a, b| a.confidence >= b.confidence));
        }
    }
}
