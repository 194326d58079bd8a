//! What an audit looks at of payouts: their rows, which have what the ledger does not know, against its entries.

/// What has to hold of every payout's row, with the query of those of which it does not.
///
/// A row is stored before its first entry, and how it ends before that is posted: so an entry without its row is
/// wrong, and a row without its entry only once the payout is closed.
pub(super) const PAYOUTS: [(&str, &str); 3] = [
    (
        "every payout of the ledger has its row",
        "SELECT entry.id FROM entry WHERE entry.kind = 'payout_requested'
             AND SUBSTR(entry.id, 1, 21) = 'payout_requested:pay_'
             AND NOT EXISTS (SELECT 1 FROM payout WHERE payout.id = SUBSTR(entry.id, 18)) LIMIT 1",
    ),
    (
        "a payout's row has the owner and the amounts of the ledger",
        "SELECT payout.id FROM payout JOIN entry ON entry.id = 'payout_requested:' || payout.id
             WHERE entry.amount <> payout.amount OR entry.account <> 'owner:' || payout.owner
         UNION ALL SELECT payout.id FROM payout JOIN entry ON entry.id = 'payout_confirmed:' || payout.id
             WHERE entry.amount <> payout.amount - payout.cost
         UNION ALL SELECT payout.id FROM payout JOIN entry ON entry.id = 'payout_returned:' || payout.id
             WHERE entry.account = 'outside' AND (entry.amount <> payout.amount - payout.cost OR NOT EXISTS
                 (SELECT 1 FROM entry AS other WHERE other.id = 'payout_confirmed:' || payout.id))
         LIMIT 1",
    ),
    (
        "a payout's row ends as the ledger says",
        "SELECT payout.id FROM payout
             LEFT JOIN entry AS sent ON sent.id = 'payout_sent:' || payout.id
             LEFT JOIN entry AS confirmed ON confirmed.id = 'payout_confirmed:' || payout.id
             LEFT JOIN entry AS returned ON returned.id = 'payout_returned:' || payout.id
             LEFT JOIN entry AS cancelled ON cancelled.id = 'payout_cancelled:' || payout.id
         WHERE (returned.id IS NOT NULL AND COALESCE(payout.outcome, '') <> 'returned')
             OR (cancelled.id IS NOT NULL AND COALESCE(payout.outcome, '') <> 'cancelled')
             OR (confirmed.id IS NOT NULL AND COALESCE(payout.outcome, '') NOT IN ('confirmed', 'returned'))
             OR (payout.outcome = 'cancelled' AND sent.id IS NOT NULL)
             OR (payout.outcome IN ('confirmed', 'returned') AND sent.id IS NULL)
             OR (payout.closed IS NOT NULL AND NOT EXISTS
                 (SELECT 1 FROM entry WHERE entry.id = 'payout_' || payout.outcome || ':' || payout.id))
         LIMIT 1",
    ),
];
