use rekursing_market::{
    Book, Tier,
    ledger::{Quote, Settlement as Settling},
};
use rekursing_protocol::{AccountId, CampaignId, ImpressionId, JobId, Nanos, Price, receipt::Ad};

use super::*;

const IN_WORDS: &str = include_str!("../../../docs/ledger.md");
const OWNER: PluginId = PluginId::from_bits(5);

fn seal() -> Seal {
    Seal::new(&[ReceiptKey { id: String::new(), seed: [7; 32], created: Moment(0) }]).unwrap()
}

/// The hold and the settlement of a job, by a book.
fn job() -> Job {
    let job = JobId::new(1_772_337_600_000, 42);
    let page = Account::Page(AccountId::from_bits(1));
    let mut book = Book::default();
    book.grant(Moment(1), "x", page, Nanos::DOLLAR).unwrap();
    let quote = Quote::new(Price::new(225_000, 900_000), 1_000, 500).unwrap();
    let hold = book.hold(Moment(1_772_337_600_000), job, page, quote).unwrap();
    let settling = Settling {
        job,
        lease: 1,
        api_key: None,
        owner: OWNER,
        model: "qwen2.5-7b-instruct".to_owned(),
        tier_asked: Tier::High,
        tier: Tier::Standard,
        ask: Price::new(150_000, 600_000),
        price: Price::new(150_000, 600_000),
        prompt_tokens: 1_000,
        answer_tokens: 321,
        tier_permille: 1_000,
        fee_permille: 50,
        discount_permille: 10,
        holdback_permille: 500,
        release_at: Moment(1_772_942_405_000),
    };
    let settle = book.settle(Moment(1_772_337_605_000), settling).unwrap();
    Job { hold, end: Some(settle), ad: None, given_back: Nanos::ZERO }
}

fn signed() -> SignedReceipt {
    let seal = seal();
    seal.sign(seal.receipt(&job()).unwrap())
}

fn public_keys() -> Vec<String> {
    seal().public().keys.iter().map(|key| key.key.clone()).collect()
}

#[test]
fn the_document_has_the_test_vector() {
    let signed = signed();
    let vector =
        [serde_json::to_string_pretty(&signed).unwrap(), signed.receipt.canonical(), public_keys().remove(0)];
    let missing: Vec<String> = vector.into_iter().filter(|text| !IN_WORDS.contains(text)).collect();
    assert!(missing.is_empty(), "docs/ledger.md has not:\n{}", missing.join("\n"));
}

#[test]
fn a_receipt_is_checked_with_nothing_but_itself_and_the_public_key() {
    let json = serde_json::to_string(&signed()).unwrap();
    assert_eq!(verify(&json, &public_keys()).unwrap(), signed().receipt);
    let other = public(&ReceiptKey { id: String::new(), seed: [8; 32], created: Moment(0) }).key;
    let refused = verify(&json, std::slice::from_ref(&other)).unwrap_err().to_string();
    assert!(refused.contains("none of those to check with"), "{refused}");
    verify(&json, &[other, public_keys().remove(0)]).unwrap();
}

#[test]
fn a_receipt_of_a_time_before_rates_were_stored_keeps_its_signature() {
    let mut older = job();
    if let Some(EntryKind::Settle(settle)) = older.end.as_mut().map(|end| &mut end.kind) {
        settle.rates = None;
    }
    let seal = seal();
    let receipt = FullReceipt { given_back: None, ..seal.receipt(&older).unwrap() };
    let signed = seal.sign(receipt);
    assert_eq!(
        signed.signature.value,
        "3f76ae6cf1ed5580cc0d4aab803315efd242af32c9b5b81f6913d294b0bf8dc9\
         3929faf57bd6943e025b4a29f94e6ed48141ca0726d358d365b242bcd44e8b07"
    );
    verify(&serde_json::to_string(&signed).unwrap(), &public_keys()).unwrap();
}

#[test]
fn a_receipt_of_the_first_version_holds_for_ever() {
    let first = include_str!("../../../protocol/tests/receipt-v1.json");
    let receipt = verify(first, &public_keys()).unwrap();
    assert_eq!(receipt.given_back, None);
    assert!(receipt.canonical().starts_with("rekursing-receipt-v1\n"));
    for claimed in ["\"0\"", "\"0.000339174\"", "null"] {
        let newer = first.replace("\"endedAt\"", &format!("\"givenBack\": {claimed},\n  \"endedAt\""));
        assert!(verify(&newer, &public_keys()).is_err(), "nobody has signed {claimed}");
    }
}

#[test]
fn what_was_given_back_is_signed_and_no_more_than_the_charge() {
    let of = |given_back| {
        let receipt = seal().receipt(&Job { given_back, ..job() }).unwrap();
        serde_json::to_string(&seal().sign(receipt)).unwrap()
    };
    let charge = signed().receipt.charge;
    let whole = of(charge);
    assert_eq!(verify(&whole, &public_keys()).unwrap().given_back, Some(charge));
    for (wrong, why) in [(Nanos::DOLLAR, "more was given back"), (Nanos::new(-1), "less than nothing")] {
        let refused = verify(&of(wrong), &public_keys()).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    let mut hidden: Value = serde_json::from_str(&whole).unwrap();
    hidden.as_object_mut().unwrap().remove("givenBack");
    assert!(verify(&hidden.to_string(), &public_keys()).is_err());
}

#[test]
fn no_figure_of_a_receipt_can_be_changed() {
    let json = serde_json::to_value(signed()).unwrap();
    let mut leaves = Vec::new();
    collect(&json, String::new(), &mut leaves);
    assert!(leaves.len() > 25, "{leaves:?}");
    for leaf in leaves.iter().filter(|leaf| !leaf.starts_with("/signature")) {
        let mut changed = json.clone();
        let value = changed.pointer_mut(leaf).unwrap();
        *value = match value.clone() {
            serde_json::Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
            serde_json::Value::String(text) if text.parse::<Nanos>().is_ok() => "0.000000001".into(),
            serde_json::Value::String(text) => match text.as_str() {
                "settled" => "void".into(),
                "account" => "free".into(),
                _ => format!("{}1", &text[..text.len() - 1]).into(),
            },
            serde_json::Value::Null | serde_json::Value::Bool(_) => "x".into(),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => panic!("{leaf} is no leaf"),
        };
        assert!(verify(&changed.to_string(), &public_keys()).is_err(), "{leaf}");
    }
}

#[test]
fn nothing_can_be_added_to_a_receipt() {
    let json = serde_json::to_value(signed()).unwrap();
    for (place, field) in
        [("", "refunded"), ("/settlement", "tierPromised"), ("/hold", "refunded"), ("/signature", "by")]
    {
        let mut more = json.clone();
        more.pointer_mut(place).unwrap()[field] = "1".into();
        let refused = verify(&more.to_string(), &public_keys()).unwrap_err().to_string();
        let path = format!("{place}/{field}")[1..].replace('/', ".");
        assert!(refused.starts_with(&format!("{path:?} is not")), "{refused}");
    }
    let text = json.to_string();
    let twice = text.replacen("\"charge\"", "\"charge\":\"99\",\"charge\"", 1);
    let longer = text.replacen("\"charge\":\"", "\"charge\":\"0", 1);
    for json in [twice, longer] {
        assert!(verify(&json, &public_keys()).is_err(), "{json}");
    }
}

fn collect(value: &serde_json::Value, path: String, leaves: &mut Vec<String>) {
    let Some(fields) = value.as_object() else {
        leaves.push(path);
        return;
    };
    fields.iter().for_each(|(name, field)| collect(field, format!("{path}/{name}"), leaves));
}

#[test]
fn a_model_cannot_pretend_to_be_another_line() {
    let honest = signed().receipt;
    let mut liar = honest.clone();
    let settlement = liar.settlement.as_mut().unwrap();
    settlement.model = "tiny\nprovider=20:prv_0000000000000000".to_owned();
    let text = liar.canonical();
    assert!(text.contains("model=37:tiny\nprovider=20:prv_0000000000000000\nprovider=20:"), "{text}");
    assert_ne!(text, honest.canonical());
}

#[test]
fn what_was_not_settled_shows_its_hold_and_that_nothing_was_charged() {
    let seal = seal();
    let Job { hold, .. } = job();
    let EntryKind::Hold { job, payer, quote } = hold.kind else { panic!() };
    let open =
        seal.receipt(&Job { hold: hold.clone(), end: None, ad: None, given_back: Nanos::ZERO }).unwrap();
    assert_eq!((open.state, open.charge, open.ended_at), (State::Open, Nanos::ZERO, None));
    let kind = EntryKind::Void { job, payer, amount: quote.amount() };
    let end = Entry { id: format!("void:{job}"), at: Moment(9), kind };
    let void = seal.receipt(&Job { hold, end: Some(end), ad: None, given_back: Nanos::ZERO }).unwrap();
    assert_eq!((void.state, void.charge, void.ended_at), (State::Void, Nanos::ZERO, Some(Moment(9))));
    assert_eq!(void.hold.amount, quote.amount());
    let json = serde_json::to_string(&seal.sign(void.clone())).unwrap();
    assert_eq!(verify(&json, &public_keys()).unwrap(), void);
}

#[test]
fn a_signed_receipt_whose_figures_do_not_add_up_is_refused() {
    let seal = seal();
    let mut receipt = signed().receipt;
    receipt.charge = Nanos::new(receipt.charge.get() - 1);
    let json = serde_json::to_string(&seal.sign(receipt)).unwrap();
    let refused = verify(&json, &public_keys()).unwrap_err().to_string();
    assert!(refused.contains("are not the cost of the tokens"), "{refused}");
}

#[test]
fn a_receipt_names_no_plugin_and_no_account() {
    let json = serde_json::to_string(&signed()).unwrap();
    assert!(!json.contains("plg_") && !json.contains("acc_"), "{json}");
}

/// The receipt of a free answer with this ad.
fn sponsored(ad: Ad) -> FullReceipt {
    let receipt = seal().receipt(&Job { ad: Some(ad), ..job() }).unwrap();
    FullReceipt { paid_by: PaidBy::Free, ..receipt }
}

#[test]
fn a_receipt_names_the_ad_and_no_part_of_it_can_be_changed() {
    let ad = Ad {
        impression: ImpressionId::from_bits(1),
        campaign: CampaignId::from_bits(2),
        per_impression: Nanos::new(1_500_000),
        per_click: Nanos::new(37_500_000),
    };
    let honest = sponsored(ad);
    let line = "ad=75:imp_00000000000000000000000001/cmp_00000000000000000000000002/0.0015/0.0375\n";
    assert!(honest.canonical().contains(line), "{}", honest.canonical());
    let json = serde_json::to_string(&seal().sign(honest.clone())).unwrap();
    assert_eq!(verify(&json, &public_keys()).unwrap(), honest);
    for changed in [
        Ad { impression: ImpressionId::from_bits(3), ..ad },
        Ad { campaign: CampaignId::from_bits(3), ..ad },
        Ad { per_impression: Nanos::new(1), ..ad },
        Ad { per_click: Nanos::new(1), ..ad },
    ] {
        let signature = seal().sign(honest.clone()).signature;
        let forged = SignedReceipt { receipt: sponsored(changed), signature };
        assert!(verify(&serde_json::to_string(&forged).unwrap(), &public_keys()).is_err(), "{changed:?}");
    }
}

#[test]
fn a_paid_answer_with_an_ad_is_refused() {
    let ad = Ad {
        impression: ImpressionId::from_bits(1),
        campaign: CampaignId::from_bits(2),
        per_impression: Nanos::new(1),
        per_click: Nanos::ZERO,
    };
    let json = serde_json::to_string(&seal().sign(FullReceipt { paid_by: PaidBy::Account, ..sponsored(ad) }));
    let refused = verify(&json.unwrap(), &public_keys()).unwrap_err().to_string();
    assert!(refused.contains("an ad beside an answer that was paid for"), "{refused}");
}
