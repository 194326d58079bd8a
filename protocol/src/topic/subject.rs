//! Sensitive subjects: where a question touches one, there is no ad at all, and some owners take it not.

use std::fmt;

/// A subject beside which no ad is shown, whatever it offers and whatever it bids. `docs/ads.md` lists
/// them for readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Illness, symptoms, diagnoses, treatment, pregnancy, disability.
    HealthConditions,
    /// Depression, anxiety, therapy.
    MentalHealth,
    /// Suicide and self-harm.
    SelfHarm,
    /// Death and mourning.
    Grief,
    /// Children and whoever is not of age.
    Minors,
    /// Sex, orientation, gender identity.
    Sexuality,
    /// Violence, abuse, weapons, war.
    Violence,
    /// Parties, elections, governments.
    Politics,
    /// Faith and churches.
    Religion,
    /// Origin, ethnicity, migration.
    Origin,
    /// Debt, bankruptcy, lost work and homes.
    DebtDistress,
    /// Crime, courts, prison.
    LegalTrouble,
    /// Drugs, alcohol, gambling.
    Addiction,
    /// Separation and divorce.
    Separation,
}

impl Subject {
    /// Every sensitive subject.
    pub const ALL: [Subject; 14] = [
        Subject::HealthConditions,
        Subject::MentalHealth,
        Subject::SelfHarm,
        Subject::Grief,
        Subject::Minors,
        Subject::Sexuality,
        Subject::Violence,
        Subject::Politics,
        Subject::Religion,
        Subject::Origin,
        Subject::DebtDistress,
        Subject::LegalTrouble,
        Subject::Addiction,
        Subject::Separation,
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Subject::HealthConditions => "health_conditions",
            Subject::MentalHealth => "mental_health",
            Subject::SelfHarm => "self_harm",
            Subject::Grief => "grief",
            Subject::Minors => "minors",
            Subject::Sexuality => "sexuality",
            Subject::Violence => "violence",
            Subject::Politics => "politics",
            Subject::Religion => "religion",
            Subject::Origin => "origin",
            Subject::DebtDistress => "debt_distress",
            Subject::LegalTrouble => "legal_trouble",
            Subject::Addiction => "addiction",
            Subject::Separation => "separation",
        }
    }

    /// Returns its place in [`Subject::ALL`].
    pub const fn place(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
