//! A running relay, from its start to its end.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use metrics_exporter_prometheus::PrometheusBuilder;
use rekursing_market::{Book, Market};
use rekursing_protocol::{
    Span,
    frame::{Drain, close},
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use crate::{
    ads::{self, Ads},
    chance,
    channels::Channels,
    clock::Clock,
    config::Config,
    crowds::Crowds,
    desk::Desk,
    devices::Devices,
    disputes::Disputes,
    downloads::Downloads,
    gate::Passed,
    groups::Codes,
    house::{House, Keys, Places, Rates},
    http::{Written, router::Routes},
    memory::Memory,
    pairings::Pairings,
    payouts::{self, Payouts, Rails, Rules},
    phones::Phones,
    quality::Qualities,
    receipt::{self, Seal},
    replay::Replays,
    roll::Roll,
    server,
    store::{Audit, PRINTS_KEPT, Store},
    stream::Patience,
    switches::Switches,
    telemetry,
    top_ups::TopUps,
    upstream::Upstreams,
};

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);

/// How often whoever watches is told what has changed.
const AIRED: Duration = Duration::from_secs(1);

/// How long a relay that has just ended may still hold the database.
const CLAIM_PATIENCE: Duration = Duration::from_secs(5);

/// Share of the drain's time within which plugins leave.
const SPREAD_SHARE: u64 = 4;

/// Opens the store and sets up everything that serves. It waits for the database.
///
/// # Errors
/// When the database cannot be opened or does not hold, or a rail of payouts cannot be set up.
pub fn open(config: Config) -> Result<Arc<House>> {
    let rails = Rails::of(&config).context("a rail of payouts cannot be set up")?;
    open_with(config, rails)
}

/// The same with these rails, whatever the config says of them.
///
/// # Errors
/// When the database cannot be opened or does not hold.
pub fn open_with(config: Config, rails: Rails) -> Result<Arc<House>> {
    let mut unstarted = Store::open(&config.location())?;
    unstarted.claim(CLAIM_PATIENCE)?;
    let clock = Clock::after(unstarted.lived()?);
    let added = unstarted.fund_free(clock.now(), config.free.budget)?;
    if added > rekursing_protocol::Nanos::ZERO {
        tracing::info!(usd = %added, "added to the budget for free answers");
    }
    let dropped = unstarted.drop_unposted_payouts()?;
    if dropped > 0 {
        tracing::warn!(payouts = dropped, "dropped payouts whose money had not moved when the relay died");
    }
    let plugins = unstarted.plugins()?;
    let upstreams = unstarted.upstreams()?;
    let channels = unstarted.channels()?;
    let qualities = Qualities::new(unstarted.qualities(clock.now())?);
    let switches = Arc::new(Switches::of(unstarted.switched_off()?));
    let phones = unstarted.phones()?;
    let seal = Seal::new(&unstarted.receipt_keys(receipt::key(clock.now()))?)?;
    let taken = unstarted.taken(clock.now())?;
    let begun = clock.now();
    let opening = unstarted.opening()?;
    // What is held since an earlier run is given back before anybody is served.
    let audit =
        Audit { entries: opening.last, open_holds: opening.holds.len(), held_since: Vec::new(), wrong: None };
    let audited = (audit, clock.now().since(begun));
    if !opening.holds.is_empty() {
        tracing::warn!(holds = opening.holds.len(), "giving back what was set aside when the relay died");
    }
    let kept = ads::Kept::read(&mut unstarted, &config, clock.now())?;
    let book = Book::restore(opening.balances, opening.holds);
    let seed = u64::from_le_bytes(chance::bytes());
    let mut market = Market::new(config.terms(), book, seed);
    for (key, taken) in taken {
        market.restore_key(key, taken);
    }
    let charge_min = market.terms().trusted_charge_min;
    market.recall(clock.now(), unstarted.history(clock.now(), charge_min)?);
    let roll = Roll::default();
    for plugin in &plugins {
        roll.enter(plugin);
        if let Some(pairing) = plugin.pairing {
            market.pair(plugin.id, Some(pairing.account));
        }
    }
    for visit in unstarted.visits(clock.now(), market.terms().free_visitors_max)? {
        market.restore_visit(clock.now(), visit);
    }
    let codes = Codes::new(unstarted.relay_key("groups", chance::bytes())?);
    let team_codes = Codes::new(unstarted.relay_key("teams", chance::bytes())?);
    let visitors_key = unstarted.relay_key("visitors", chance::bytes())?;
    let passes_key = unstarted.relay_key("passes", chance::bytes())?;
    let receipts = receipt::Tokens::new(unstarted.relay_key("receipts", chance::bytes())?);

    // Other processes can change the database before the desk is there; the store then tells again.
    let desk_slot: Arc<OnceLock<Desk>> = Arc::default();
    let keys: Arc<Keys> = Arc::default();
    let on_foreign = {
        let (slot, keys) = (Arc::clone(&desk_slot), Arc::clone(&keys));
        Box::new(move |grants: &[_]| {
            let Some(desk) = slot.get() else { return false };
            grants.iter().for_each(|grant| desk.granted(grant));
            // One of them may have been revoked; those in use are looked up anew.
            keys.forget();
            true
        })
    };
    let store = unstarted.start(opening.last, on_foreign)?;
    let desk = Desk::with_key(market, store, clock, config.limits.store_queue, visitors_key);
    // The slot is this function's own, so it is empty.
    let _ = desk_slot.set(desk.clone());

    let metrics = PrometheusBuilder::new().build_recorder();
    let handle = metrics.handle();
    // A second relay in one process, as in tests, shares the first one's recorder.
    if metrics::set_global_recorder(metrics).is_err() {
        tracing::debug!("metrics are recorded elsewhere in this process");
    }
    telemetry::describe();
    telemetry::audited(&audited.0, audited.1);
    let top_ups = config.top_ups.as_ref().map(TopUps::of).transpose().context("top_ups")?;
    let payouts = Payouts::new(desk.clone(), rails, Rules::of(&config)).under(Arc::clone(&switches));
    let payouts = Arc::new(payouts);
    let house = Arc::new(House {
        rates: Rates::new(&config),
        memory: Memory::of(config.limits.requests_bytes, config.limits.request_bytes),
        long_reads: Arc::new(Semaphore::new(2)),
        top_ups,
        crowds: Crowds::new(config.public_providers_min),
        channels: Channels::new(channels, Arc::clone(&switches)),
        downloads: Downloads::of(config.downloads.clone(), config.limits.download_bytes),
        replays: Replays::new(config.limits.replay_bytes, Span::millis(config.time.replay_ms)),
        passed: Passed::new(Span::millis(config.time.replay_ms)),
        config,
        ads: Ads::new(kept, desk.clone(), Arc::clone(&switches)),
        switches,
        desk,
        payouts,
        disputes: Disputes::default(),
        plugins: roll,
        devices: Devices::new(passes_key),
        pairings: Pairings::typed(),
        phones: Phones::new(phones),
        keys,
        upstreams: Upstreams::default(),
        seal,
        receipts,
        codes,
        team_codes,
        qualities,
        written: Written::default(),
        sessions: Places::default(),
        draining: AtomicBool::new(false),
        metrics: handle,
    });
    for upstream in upstreams {
        crate::upstream::revive(&house, &upstream)?;
    }
    Ok(house)
}

/// Serves on `listener`, and the operator on one of his own if there is one, until `shutdown` completes,
/// then drains: sessions are told, running answers finish within the configured time, the ledger is flushed.
pub async fn run(
    house: Arc<House>,
    listener: TcpListener,
    operator: Option<TcpListener>,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopped) = watch::channel(false);
    let routes = Routes::new(Arc::clone(&house));
    let accepting = tokio::spawn(server::serve(Arc::clone(&house), listener, routes, stopped.clone()));
    let operating = operator.map(|listener| {
        let routes = Routes::operator(Arc::clone(&house));
        tokio::spawn(server::serve(Arc::clone(&house), listener, routes, stopped))
    });
    let upkeep = tokio::spawn(upkeep(Arc::clone(&house)));
    let audits = tokio::spawn(audits(Arc::clone(&house)));
    let watching = tokio::spawn(watch_over(Arc::clone(&house)));
    let payouts = tokio::spawn(payouts::work(Arc::clone(&house.payouts)));
    shutdown.await;
    drain(&house, &stop).await;
    payouts.abort();
    upkeep.abort();
    audits.abort();
    watching.abort();
    accepting.abort();
    house.ads.flush().await;
    if let Err(error) = house.channels.end(&house).await {
        tracing::warn!(error = format!("{error:#}"), "could not keep what became of the last jobs");
    }
    if let Some(operating) = operating {
        operating.abort();
    }
    let store = house.desk.store().clone();
    let stopped = tokio::task::spawn_blocking(move || store.stop()).await;
    if stopped.is_err() {
        tracing::error!("the store's thread did not end well");
    }
}

/// Binds an address.
///
/// # Errors
/// When the address is taken or not this machine's.
pub fn bind(listen: SocketAddr) -> Result<TcpListener> {
    let bind = || -> std::io::Result<TcpListener> {
        let socket = if listen.is_ipv4() {
            tokio::net::TcpSocket::new_v4()?
        } else {
            tokio::net::TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(listen)?;
        socket.listen(4_096)
    };
    bind().with_context(|| format!("could not listen on {listen}"))
}

async fn drain(house: &House, stop: &watch::Sender<bool>) {
    let time = &house.config.time;
    house.draining.store(true, Ordering::Relaxed);
    let ms = |millis: u64| u32::try_from(millis).unwrap_or(u32::MAX);
    house.desk.drain(&Drain { deadline_ms: ms(time.drain_ms), spread_ms: ms(time.drain_ms / SPREAD_SHARE) });
    tracing::info!(answers = house.desk.streams(), "draining");
    let finished = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while house.desk.streams() > 0 {
            pause.tick().await;
        }
    };
    if tokio::time::timeout(Duration::from_millis(time.drain_ms), finished).await.is_err() {
        tracing::warn!(answers = house.desk.streams(), "cutting answers that did not end in time");
        house.desk.cut_all();
    }
    house.desk.close_all(close::DRAINING);
    house.desk.store().flushed().await;
    // Until here new connections are taken and told that the relay drains.
    let _ = stop.send(true);
    // The last events and close frames are on their way; a moment lets the sockets take them.
    let settled = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while house.sessions.taken() > 0 {
            pause.tick().await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(500), settled).await;
}

async fn upkeep(house: Arc<House>) {
    let time = &house.config.time;
    // The plugin keeps the same deadlines; the relay's come a little later, for plugins that lie.
    let later = |millis: u64| Span::millis(millis + millis / 4);
    let patience = Patience {
        first_token: later(time.first_token_ms),
        idle: later(time.idle_ms),
        total: later(time.total_ms),
        page: Span::millis(time.page_stall_ms),
    };
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks = 0_u64;
    loop {
        tick.tick().await;
        house.desk.tick(&patience);
        house.ads.tick();
        ticks += 1;
        if ticks.is_multiple_of(20) {
            house.ads.flush().await;
        }
        if ticks.is_multiple_of(80) {
            house.desk.store().lived(house.desk.lived());
            telemetry::lag(house.desk.lag());
        }
        if ticks.is_multiple_of(240) {
            house.rates.tidy(house.desk.now());
            house.replays.tidy(house.desk.now());
        }
        if ticks.is_multiple_of(2_400) {
            let before = house.desk.now() - house.desk.lag() - Span::millis(time.idempotency_ms);
            house.desk.store().forget_asked(before);
            let before = house.desk.now() - house.desk.lag() - PRINTS_KEPT;
            house.desk.store().forget_prints(before);
        }
    }
}

/// Tells whoever watches how it goes, and keeps every minute what is told of longer times.
async fn watch_over(house: Arc<House>) {
    let mut tick = tokio::time::interval(AIRED);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks = 0_u64;
    loop {
        tick.tick().await;
        house.channels.air(&house);
        ticks += 1;
        if ticks.is_multiple_of(60)
            && let Err(error) = house.channels.minute(&house).await
        {
            tracing::warn!(error = format!("{error:#}"), "could not keep what was seen in this minute");
        }
    }
}

/// Audits the book again and again, beside everything else.
async fn audits(house: Arc<House>) {
    let period = Duration::from_millis(house.config.time.audit_ms);
    if period.is_zero() {
        return;
    }
    // The first one was made before the relay began to serve.
    let mut due = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let begun = house.desk.now();
        match house.desk.store().audit().await {
            Ok(audit) => {
                telemetry::audited(&audit, house.desk.now().since(begun));
                telemetry::overdue(audit.overdue(begun, house.config.hold_max()));
            }
            Err(error) => tracing::warn!(error = format!("{error:#}"), "could not audit the book"),
        }
    }
}
