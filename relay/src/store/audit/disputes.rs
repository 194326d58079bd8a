//! What an audit looks at of disputes: their rows against the ledger's entries.

/// What has to hold of every dispute's row, with the query of those of which it does not.
///
/// A row is stored together with its entries. `dispute:` has 8 characters, a job's id 30.
pub(super) const DISPUTES: [(&str, &str); 3] = [
    (
        "every dispute of the ledger has its row",
        "SELECT entry.id FROM entry WHERE entry.kind = 'dispute'
             AND NOT EXISTS (SELECT 1 FROM dispute WHERE dispute.job = SUBSTR(entry.id, 9, 30)) LIMIT 1",
    ),
    (
        "a dispute's row has the amounts of the ledger, and no more than its job has earned",
        "SELECT dispute.job FROM dispute
             LEFT JOIN entry AS settle ON settle.id = 'settle:' || dispute.job
             LEFT JOIN entry AS available ON available.id = 'dispute:' || dispute.job || ':owner'
             LEFT JOIN entry AS held ON held.id = 'dispute:' || dispute.job || ':held'
         WHERE settle.id IS NULL OR settle.owner <> dispute.owner OR settle.charge <> dispute.charge
             OR settle.account <> 'page:' || dispute.account
             OR COALESCE(available.amount, 0) <> dispute.available
             OR COALESCE(held.amount, 0) <> dispute.held_back
             OR COALESCE(available.account, 'owner:' || dispute.owner) <> 'owner:' || dispute.owner
             OR COALESCE(held.account, 'held:' || dispute.owner) <> 'held:' || dispute.owner
             OR dispute.held_back > settle.held_back
             OR dispute.available + dispute.held_back > settle.charge - settle.fee
         LIMIT 1",
    ),
    (
        "a dispute's row ends as the ledger says",
        "SELECT dispute.job FROM dispute
             LEFT JOIN entry AS available ON available.id = 'dispute_ended:' || dispute.job || ':owner'
             LEFT JOIN entry AS held ON held.id = 'dispute_ended:' || dispute.job || ':held'
             LEFT JOIN entry AS back ON back.id = 'correction:settle:' || dispute.job || ':0'
         WHERE COALESCE(available.amount, 0) + COALESCE(held.amount, 0) <>
                 CASE WHEN dispute.decided IS NULL THEN 0 ELSE dispute.available + dispute.held_back END
             OR (dispute.decided IS NULL AND dispute.state NOT IN ('opened', 'reviewed'))
             OR (dispute.decided IS NOT NULL AND dispute.state NOT IN ('upheld', 'rejected'))
             OR (dispute.state = 'upheld' AND back.id IS NULL)
             OR (dispute.decided IS NULL AND back.id IS NOT NULL)
         LIMIT 1",
    ),
];
