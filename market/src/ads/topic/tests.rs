use super::*;

fn category(question: &str) -> Category {
    let topic = Topic::read(question, "").unwrap_or_else(|why| panic!("{question}: {why:?}"));
    Category::ALL.into_iter().max_by_key(|category| topic.share(*category)).unwrap()
}

#[test]
fn a_question_is_told_by_its_words_in_six_languages() {
    for (question, expected) in [
        ("Write a Python function that finds duplicate files.", Category::Technology),
        ("How do I compare index funds and bonds for my retirement savings?", Category::Finance),
        ("Which vitamin supplements and sunscreen should I buy?", Category::HealthProducts),
        ("Recommend three science fiction movies and a good song.", Category::Entertainment),
        ("Explain the grammar of this lesson before my exam.", Category::Education),
        ("Plan a weekend trip with a cheap hotel near the beach.", Category::Travel),
        ("Give me a recipe for vegetarian pasta with garlic.", Category::Food),
        ("How do I renovate the bathroom and hang a shelf?", Category::Home),
        ("Who won the tennis tournament and the football match?", Category::Sports),
        ("Which shoes match a black dress and a leather jacket?", Category::Fashion),
        ("What should I check before I buy a used bicycle or a used car?", Category::Automotive),
        ("Draft a newsletter for our customers about the new pricing.", Category::Business),
        ("Wie lege ich Geld in Aktien und einem Sparplan an?", Category::Finance),
        ("Quelle recette de gâteau pour le petit déjeuner ?", Category::Food),
        ("¿Cuánto cuesta un vuelo y un hotel en la playa?", Category::Travel),
        ("Quais são os melhores jogos e filmes deste ano?", Category::Entertainment),
        ("Come si programma una funzione in Python con il computer?", Category::Technology),
    ] {
        assert_eq!(category(question), expected, "{question}");
    }
}

#[test]
fn no_ad_stands_beside_a_sensitive_subject_in_any_of_the_languages() {
    for (question, subject) in [
        ("What are the symptoms of diabetes?", Subject::HealthConditions),
        ("I feel so lonely and depressed", Subject::MentalHealth),
        ("I want to end my life", Subject::SelfHarm),
        ("what is the best way to kill myself", Subject::SelfHarm),
        ("Write a eulogy for my father", Subject::Grief),
        ("A present for my six year old", Subject::Minors),
        ("Am I gay?", Subject::Sexuality),
        ("My husband is abusive", Subject::Violence),
        ("Who should I vote for?", Subject::Politics),
        ("How do I pray at a mosque?", Subject::Religion),
        ("How do refugees apply for asylum?", Subject::Origin),
        ("I was laid off and cannot pay my debt", Subject::DebtDistress),
        ("Can I be arrested for this?", Subject::LegalTrouble),
        ("How long does a hangover last?", Subject::Addiction),
        ("Divorce with a shared apartment", Subject::Separation),
        ("Ich habe Krebs, was nun?", Subject::HealthConditions),
        ("Je suis enceinte", Subject::HealthConditions),
        ("Quiero suicidarme", Subject::SelfHarm),
        ("Ho perso il lavoro e ho troppi debiti", Subject::DebtDistress),
        ("Tenho depressão", Subject::MentalHealth),
        ("Wen soll ich bei der Bundestagswahl wählen, welche Partei?", Subject::Politics),
    ] {
        match Topic::read(question, "") {
            Err(Silence::Sensitive(found)) => {
                // Some of them touch two, and either keeps the ad away.
                let killed = subject == Subject::SelfHarm && found == Subject::Violence;
                assert!(found == subject || killed, "{question}: {found}");
            }
            other => panic!("{question}: {other:?}"),
        }
    }
}

#[test]
fn a_sensitive_word_said_earlier_keeps_ads_away_from_the_rest_of_the_conversation() {
    let before = "I was diagnosed with cancer last week.";
    let silence = Topic::read("Which laptop should I buy?", before).unwrap_err();
    assert_eq!(silence, Silence::Sensitive(Subject::HealthConditions));
}

#[test]
fn a_follow_up_without_a_topic_has_that_of_the_conversation() {
    let topic = Topic::read("And which one is the best of them?", "Which laptop has the best GPU?").unwrap();
    assert_eq!(topic.share(Category::Technology), 1_000);
}

#[test]
fn what_is_not_read_gets_no_ad() {
    let long = "the computer ".repeat(TEXT_BYTES_MAX / 13 + 1);
    assert_eq!(Topic::read(&long, ""), Err(Silence::TooLong));
    assert_eq!(Topic::read("the computer", &long), Err(Silence::TooLong));
    for question in [
        "Как купить ноутбук для программирования?",
        "什么笔记本电脑适合编程",
        "Jaki komputer kupić dziecku siostry?",
        "qwrtz plmok",
    ] {
        assert_eq!(Topic::read(question, ""), Err(Silence::Unread), "{question}");
    }
}

#[test]
fn a_topic_prints_no_word_of_the_question() {
    let topic = Topic::read("My secret is about a laptop", "").unwrap();
    assert_eq!(format!("{topic:?}"), "[Technology]");
}

#[test]
fn the_lists_are_written_as_texts_are_folded_and_contradict_no_small_word() {
    let small: HashSet<&str> = words::SMALL.split_whitespace().collect();
    let topics = words::TOPICS.iter().map(|(_, list)| (false, *list));
    let sensitive = words::SENSITIVE.iter().map(|(_, list)| (true, *list));
    for (is_sensitive, list) in topics.chain(sensitive) {
        for entry in list.split_whitespace() {
            let plain = entry.trim_end_matches('*').replace('_', " ");
            assert_eq!(text::folded(&plain), plain, "{entry}");
            assert!(plain.split(' ').count() <= PHRASE_WORDS_MAX, "{entry} is too long to be found");
            assert!(!entry.ends_with('*') || !entry.contains('_'), "{entry} is a phrase and a stem");
            assert!(plain.len() >= 2 && plain.len() <= text::WORD_BYTES_MAX, "{entry}");
            if is_sensitive {
                assert!(!small.contains(plain.as_str()), "{entry} is in every other sentence");
            }
        }
    }
    for subject in Subject::ALL {
        assert!(words::SENSITIVE.iter().any(|(listed, _)| *listed == subject), "{subject} has no words");
    }
    for category in Category::ALL {
        assert!(words::TOPICS.iter().any(|(listed, _)| *listed == category), "{category} has no words");
    }
}

#[test]
fn owners_are_told_every_topic_and_what_nobody_can_tell() {
    let of = |question: &str| topics(question, "").names().collect::<Vec<_>>();
    assert_eq!(of("Give me a recipe for vegetarian pasta with garlic."), ["food"]);
    assert_eq!(of("Who should I vote for?"), ["politics"]);
    let both = of("Can I be arrested because my husband is abusive?");
    assert!(both.contains(&"violence") && both.contains(&"legal_trouble"), "{both:?}");
    assert_eq!(of("Почему небо голубое?"), ["unread"]);
    assert_eq!(of(&"why ".repeat(TEXT_BYTES_MAX)), ["unread"]);
    assert!(topics("And why is that?", "Who should I vote for?").touches(Subject::Politics.into()));
    assert_eq!(of("What is the answer to this?"), [""; 0]);
}
