//! Laws of reading, for any JSON.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::error::Fields;

/// Names that mean something, so that values land where they are read.
const NAMES: [&str; 20] = [
    "projectId",
    "prompt",
    "templateFiles",
    "metadata",
    "mode",
    "confirmed",
    "locale",
    "buildSessionId",
    "allowConcurrent",
    "operationId",
    "seconds",
    "ttlSeconds",
    "reservationId",
    "paymentId",
    "operationType",
    "projectSize",
    "analysis",
    "services",
    "path",
    "content",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("plan".to_owned()),
        Just("update".to_owned()),
        "[a-z0-9_.:-]{1,12}",
        ".{0,12}",
        Just("x".repeat(70_000)),
    ]
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        proptest::sample::select(&NAMES[..]).prop_map(str::to_owned),
        ".{0,8}"
    ];
    proptest::collection::vec((name, value), 0..12).prop_map(|pairs| pairs.into_iter().collect())
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0_u64..100_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            object(inner).prop_map(Value::from),
        ]
    })
}

/// Whether a request was read, and how many fields were wrong.
fn read<T: FromFields>(body: &Map<String, Value>) -> (bool, usize) {
    let mut fields = Fields::new();
    let request = T::read(&mut ObjectReader::new(body.clone(), &mut fields));
    (
        request.is_some(),
        fields.finish().map_or_else(|wrong| wrong.0.len(), |()| 0),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What is not read has a wrong field to show for it, and the list of them is bounded.
    #[test]
    fn nothing_is_refused_without_a_reason(body in object(json())) {
        for (is_read, wrong) in [
            read::<StartRequest>(&body),
            read::<ReserveRequest>(&body),
            read::<CommitRequest>(&body),
            read::<ReleaseRequest>(&body),
            read::<CreditRequest>(&body),
            read::<CheckSufficientRequest>(&body),
            read::<EstimateRequest>(&body),
            read::<SuggestRequest>(&body),
        ] {
            prop_assert!(is_read || wrong > 0);
            prop_assert!(wrong <= Fields::MAX_LISTED);
        }
    }

    /// Whole numbers in range are read exactly, and no other number is.
    #[test]
    fn seconds_are_exact(value in json()) {
        let body = Map::from_iter([
            ("operationId".to_owned(), Value::from("o")),
            ("seconds".to_owned(), value.clone()),
        ]);
        let mut fields = Fields::new();
        let request = ReserveRequest::read(&mut ObjectReader::new(body, &mut fields));
        let wanted = value.as_u64().filter(|n| (1..=9_007_199_254_740_991).contains(n));
        prop_assert_eq!(request.map(|request| request.seconds.get()), wanted);
        prop_assert_eq!(fields.is_empty(), wanted.is_some());
    }
}
