use super::*;

const fn table(version: u32, standard: u32, premium: u32) -> PriceTable {
    PriceTable::new(TableVersion(version), Rate(standard), Rate(premium))
}

const fn secs(seconds: u32) -> Seconds {
    Seconds::from_u32(seconds)
}

#[test]
fn m2_a_price_is_rounded_once_and_up() {
    let table = table(1, 100, 133);
    for work in 0..1_000u32 {
        let standard = table.price(Tier::Standard, secs(work)).unwrap();
        assert_eq!(standard, secs(work));
        let premium = table.price(Tier::Premium, secs(work)).unwrap().get();
        let exact = u64::from(work) * 133;
        assert!(
            premium * 100 >= exact && premium * 100 < exact + 100,
            "{work}"
        );
    }
    let error = table.price(Tier::Premium, Seconds::MAX);
    assert_eq!(error, Err(PriceError::OutOfRange));
    assert_eq!(table.price(Tier::Standard, Seconds::MAX), Ok(Seconds::MAX));
}

/// M3: what has no price is not free.
#[test]
fn m3_a_missing_table_or_rate_fails_closed() {
    assert_eq!(Rate::from_hundredths(0), None);
    assert_eq!(PriceBook::new(Vec::new()), Err(PriceBookError::Empty));
    let version = TableVersion(1);
    let twice = PriceBook::new(vec![table(1, 1, 1), table(1, 2, 2)]);
    assert_eq!(twice, Err(PriceBookError::Twice { version }));
    let max = PriceBook::MAX_TABLES;
    let many = (0..=100).map(|n| table(n, 1, 1)).collect();
    assert_eq!(PriceBook::new(many), Err(PriceBookError::TooMany { max }));

    let book = PriceBook::new(vec![table(3, 100, 200)]).unwrap();
    let of_another = Terms::new(Tier::Standard, version);
    let error = PriceError::UnknownVersion { version };
    assert_eq!(book.charge(&of_another, secs(1)), Err(error));
    assert_eq!(Tier::parse("gold"), None);
    for tier in Tier::ALL {
        assert_eq!(Tier::parse(tier.as_str()), Some(tier));
    }
}

/// M5: a hold's own table prices it, whichever came since.
#[test]
fn m5_a_hold_is_charged_by_the_table_it_was_quoted_by() {
    let old = PriceBook::new(vec![table(1, 100, 200)]).unwrap();
    let terms = old.terms(Tier::Premium);
    // In whatever order the tables are listed, the newest quotes.
    let new = PriceBook::new(vec![table(2, 100, 300), table(1, 100, 200)]).unwrap();
    assert_eq!(new.current().version, TableVersion(2));
    assert_eq!(new.charge(&terms, secs(10)), Ok(secs(20)));
    assert_eq!(
        new.charge(&new.terms(Tier::Premium), secs(10)),
        Ok(secs(30))
    );
}

#[test]
fn a_premium_wish_falls_to_standard_where_it_cannot_be_paid() {
    let table = table(1, 100, 250);
    let route = |wanted, to_spend| table.route(wanted, secs(10), secs(to_spend)).unwrap();
    assert_eq!(route(Tier::Premium, 25), (Tier::Premium, secs(25)));
    assert_eq!(route(Tier::Premium, 24), (Tier::Standard, secs(10)));
    assert_eq!(route(Tier::Standard, 0), (Tier::Standard, secs(10)));
}

/// M2: random splits, 10^6 of them in full.
#[test]
fn m2_parts_sum_to_the_whole_and_are_near_their_shares() {
    let mut dice = 0x5EED_u64;
    let mut roll = move |below: u64| {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % below
    };
    for _ in 0..testkit::Proof::size().pick(20_000, 1_000_000) {
        let whole = match roll(3) {
            0 => roll(100),
            1 => roll(1 << 31),
            _ => Seconds::MAX.get() - roll(1 << 31),
        };
        let most = [2, 1 << 30][usize::try_from(roll(2)).unwrap()];
        let weights: Vec<u32> = (0..1 + roll(8))
            .map(|_| u32::try_from(roll(most)).unwrap())
            .collect();
        let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        let whole = Seconds::new(whole).unwrap();
        let parts: Vec<Seconds> = split(whole, &weights).collect();
        assert_eq!(parts.len(), weights.len());
        let total = parts
            .iter()
            .try_fold(Seconds::ZERO, |sum, part| sum.checked_add(*part));
        assert_eq!(total, Some(whole), "{weights:?}");
        for (part, weight) in parts.iter().zip(&weights).filter(|_| sum > 0) {
            let exact = u128::from(whole.get()) * u128::from(*weight);
            let got = u128::from(part.get()) * sum;
            assert!(
                got.abs_diff(exact) < sum,
                "{whole} by {weights:?}: {parts:?}"
            );
        }
    }
    assert_eq!(split(secs(7), &[]).count(), 0);
}
