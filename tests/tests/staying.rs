//! An owner's extension stays connected through whatever happens to a worker, a browser, a relay, a network and
//! a computer: an answer in the middle comes whole or its page is told, no word is lost or said twice, the owner
//! is back within a minute without a click, and never is there a second session of the same plugin.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rekursing_tests::{
    browser::Browser,
    built, count,
    database::Engine,
    http::{Page, Stream},
    line::Line,
    network::{self, Cut, Network, RELAY},
    node::Node,
    owner::Owner,
    relay::{FREE, Program, Relay},
    scene::{ask, hear},
    script::{Dialect, Gate, Reply, Script},
    within,
};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// An owner is back within this of whatever kept him away.
const MINUTE: Duration = Duration::from_secs(60);

/// Words of every answer.
const WORDS: usize = 24;

/// How many of them are heard before something happens.
const BEGUN: usize = 4;

/// How often the relay is asked who is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// An owner's browser on a profile of its own, before a relay and a model server, and a page that asks.
struct Scene {
    page: Page,
    script: Script,
    owner: Option<Owner>,
    profile: TempDir,
    flags: Vec<String>,
    words: Vec<String>,
    lookout: Lookout,
    ends: BTreeMap<End, usize>,
    away: Vec<Duration>,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// With `done`, and nobody but the owner had it.
    Whole,
    /// With `done`, and somebody else went on with it.
    Continued,
    /// With `error`.
    Told,
    /// In the middle of the body, as when the relay dies.
    Broken,
}

/// An answer of which some words were heard.
struct Begun {
    stream: Stream,
    gate: Gate,
    heard: String,
}

/// Another owner. Dropping it takes him away.
struct Second {
    _node: Node,
    _script: Script,
}

impl Scene {
    /// Has an owner serve at this address of a relay, whose pages' side this page sees.
    async fn start(page: Page, relay: &str, flags: &[&str]) -> Result<Scene> {
        let script = Script::start(Dialect::LlamaCpp(4)).await?;
        let profile = tempfile::tempdir()?;
        let flags = [flags, &["--enable-unsafe-extension-debugging"]].concat();
        let browser = Browser::at_with(profile.path(), &flags).await?;
        let flags = flags.into_iter().map(str::to_owned).collect();
        let extension = browser.load(&built::extension()?).await?;
        let owner = Owner::installed(browser, &extension).await?;
        owner.serve(relay, &script.url()).await?;
        let words: Vec<String> = (0..WORDS).map(|number| format!(" word{number}")).collect();
        let lookout = Lookout::over(page.clone());
        let (ends, away) = (BTreeMap::new(), Vec::new());
        let scene = Scene { page, script, owner: Some(owner), profile, flags, words, lookout, ends, away };
        scene.script.always(scene.recital(WORDS * 1_000));
        Ok(scene)
    }

    fn owner(&self) -> Result<&Owner> {
        self.owner.as_ref().context("no browser runs")
    }

    /// Returns a way to answer of which so many words, in all, need nobody to open a gate.
    fn recital(&self, open: usize) -> Reply {
        let gate = Gate::default();
        gate.open(open);
        Reply::recital(&self.words, &gate)
    }

    /// Asks for an answer and hears its first words. Nobody else is there to make it.
    async fn begin(&self) -> Result<Begun> {
        let gate = Gate::default();
        gate.open(BEGUN);
        self.script.next(Reply::recital(&self.words, &gate));
        let mut stream = self.page.stream("/api/llm/inference", &ask("go")).await?;
        let heard = self.words[..BEGUN].concat();
        hear(&mut stream, &heard).await?;
        Ok(Begun { stream, gate, heard })
    }

    /// Has another owner come who could go on with an answer.
    async fn second(&self, relay: &Relay) -> Result<Second> {
        let script = Script::start(Dialect::LlamaCpp(4)).await?;
        script.always(self.recital(WORDS * 1_000));
        let node = Node::start(relay, &script.url()).await?;
        Ok(Second { _node: node, _script: script })
    }

    /// Hears an answer to its end. What was heard is the whole answer, or its beginning where that is told.
    async fn finish(&self, mut stream: Stream, mut heard: String) -> Result<End> {
        let mut is_continued = false;
        let end = loop {
            let event = match stream.next().await {
                Ok(Some(event)) => event,
                Ok(None) => bail!("an answer ended silently after {heard:?}"),
                Err(_) => break End::Broken,
            };
            match event.name.as_str() {
                "token" => {
                    let token: Value = serde_json::from_str(&event.data)?;
                    heard += token["text"].as_str().unwrap_or_default();
                }
                "continued" => is_continued = true,
                "done" => break if is_continued { End::Continued } else { End::Whole },
                "error" => break End::Told,
                _ => {}
            }
        };
        let whole = self.words.concat();
        let is_right = match end {
            End::Whole | End::Continued => heard == whole,
            End::Told | End::Broken => whole.starts_with(&heard),
        };
        ensure!(is_right, "{end:?}: heard {heard:?} of {whole:?}");
        Ok(end)
    }

    /// Has an answer that was begun go on to its end, which is one of these.
    async fn end(&mut self, begun: Begun, expected: &[End]) -> Result<()> {
        begun.gate.open(WORDS);
        let end = self.finish(begun.stream, begun.heard).await?;
        ensure!(expected.contains(&end), "an answer ended as {end:?}");
        *self.ends.entry(end).or_default() += 1;
        Ok(())
    }

    /// Waits until this owner answers again, alone, and notes for how long he was away.
    async fn back(&mut self, since: Instant) -> Result<()> {
        let answers = || async {
            let Ok(stream) = self.page.stream("/api/llm/inference", &ask("go")).await else {
                return Ok(None);
            };
            if stream.status != 200 {
                return Ok(None);
            }
            Ok((self.finish(stream, String::new()).await? == End::Whole).then_some(()))
        };
        within(MINUTE.saturating_sub(since.elapsed()), "the owner is back", answers).await?;
        self.away.push(since.elapsed());
        Ok(())
    }

    /// Has the browser's profile keep everything, as it is on the next day.
    async fn keep(&mut self) -> Result<()> {
        let owner = self.owner.take().context("no browser runs")?;
        let extension = owner.extension().to_owned();
        owner.browser().keep_unpacked().await?;
        owner.into_browser().quit().await?;
        self.open_browser(extension).await
    }

    /// Kills the browser as a crash would, and returns the extension's id.
    async fn crash(&mut self) -> Result<String> {
        let mut owner = self.owner.take().context("no browser runs")?;
        owner.browser_mut().kill().await?;
        Ok(owner.extension().to_owned())
    }

    /// Starts the browser again on its profile, as whoever clicks on its icon and nowhere else.
    async fn open_browser(&mut self, extension: String) -> Result<()> {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let browser = Browser::at_with(self.profile.path(), &flags).await?;
        self.owner = Some(Owner::installed(browser, &extension).await?);
        Ok(())
    }

    /// Says what was seen since it was said last.
    fn report(&mut self, what: &str) -> Result<()> {
        let (ends, away) = (std::mem::take(&mut self.ends), std::mem::take(&mut self.away));
        let slowest = away.iter().max().copied().unwrap_or_default();
        let mean = away.iter().sum::<Duration>() / u32::try_from(away.len().max(1))?;
        eprintln!("PROVED {what}: answers {ends:?}; away {mean:.1?} on average, {slowest:.1?} at most");
        Ok(())
    }

    /// Sees to it that there never was a second session, and that the books are right.
    async fn close(self, relay: &Relay) -> Result<()> {
        let looks = self.lookout.end().await?;
        eprintln!("PROVED no second session in {looks} looks");
        relay.resolved().await?;
        relay.audit().await
    }
}

/// Asks the relay all the time who is there.
struct Lookout {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<usize>>,
}

impl Lookout {
    fn over(page: Page) -> Lookout {
        let (stop, stopped) = oneshot::channel();
        Lookout { stop, task: tokio::spawn(look(page, stopped)) }
    }

    /// Returns how often the relay answered.
    async fn end(self) -> Result<usize> {
        // Whoever has found something has ended already.
        let _ = self.stop.send(());
        self.task.await?
    }
}

async fn look(page: Page, mut stopped: oneshot::Receiver<()>) -> Result<usize> {
    let mut looks = 0;
    while stopped.try_recv().is_err() {
        // A relay that was killed does not answer.
        if let Ok(answer) = page.get("/api/plugin/stats").await
            && answer.status == 200
        {
            let stats = answer.json()?;
            let sessions = stats["sessions"].as_array().context("no list of sessions")?;
            let plugins: BTreeSet<_> = sessions.iter().filter_map(|one| one["pluginId"].as_str()).collect();
            ensure!(plugins.len() == sessions.len(), "a plugin has two sessions: {stats}");
            ensure!(stats["plugins"] == sessions.len(), "a session is not listed: {stats}");
            looks += 1;
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(looks)
}

#[tokio::test]
async fn a_worker_that_is_stopped_in_the_middle_of_answers_costs_no_word() -> Result<()> {
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    let mut scene = Scene::start(relay.customer(&key), &relay.url("http"), &[]).await?;
    for stop in 0..count("REKURSING_STOPS", 3)? {
        let begun = scene.begin().await?;
        scene.owner()?.kill_worker().await.with_context(|| format!("stop {stop}"))?;
        let since = Instant::now();
        scene.end(begun, &[End::Whole]).await?;
        scene.back(since).await?;
    }
    scene.report("worker stopped")?;
    scene.close(&relay).await
}

#[tokio::test]
async fn a_browser_that_is_killed_in_the_middle_of_answers_is_back_and_another_owner_goes_on() -> Result<()> {
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    let mut scene = Scene::start(relay.customer(&key), &relay.url("http"), &[]).await?;
    scene.keep().await?;
    scene.back(Instant::now()).await?;
    for kill in 0..count("REKURSING_CRASHES", 2)? {
        let begun = scene.begin().await?;
        let second = scene.second(&relay).await?;
        let extension = scene.crash().await?;
        let since = Instant::now();
        scene.open_browser(extension).await.with_context(|| format!("kill {kill}"))?;
        scene.end(begun, &[End::Continued]).await?;
        drop(second);
        scene.back(since).await?;
    }
    scene.report("browser killed")?;
    scene.close(&relay).await
}

#[tokio::test]
async fn a_relay_that_is_restarted_in_the_middle_of_answers_is_found_again() -> Result<()> {
    let (mut relay, key) = Relay::funded(FREE, "5.00").await?;
    let mut scene = Scene::start(relay.customer(&key), &relay.url("http"), &[]).await?;
    for restart in 0..count("REKURSING_RESTARTS", 2)? {
        let begun = scene.begin().await?;
        let job = scene.script.jobs().pop().context("a job")?;
        let since = if restart % 2 == 0 {
            // Told to leave, it lets the answer come to its end.
            let (left, ended) = tokio::join!(relay.leave(MINUTE), scene.end(begun, &[End::Whole]));
            left.and(ended)?;
            relay.restart().await?;
            Instant::now()
        } else {
            relay.kill().await?;
            relay.restart().await?;
            let since = Instant::now();
            job.left(MINUTE).await?;
            scene.end(begun, &[End::Broken]).await?;
            since
        };
        scene.back(since).await?;
    }
    scene.report("relay restarted")?;
    scene.close(&relay).await
}

/// An owner across a network of the test's own.
struct Across {
    network: Network,
    relay: Relay,
    scene: Scene,
}

impl Across {
    async fn start(time: &str) -> Result<Across> {
        let network = Network::lay().await?;
        let program = Program::new(Engine::Sqlite, &format!("{FREE}[time]\n{time}\n"))?;
        let key = program.key("5.00").await?;
        let relay = Relay::across(&network, program).await?;
        // The extension reaches no relay without TLS but on its own computer.
        let rules = format!("--host-resolver-rules=MAP localhost {RELAY}");
        let owners = format!("http://localhost:{}", relay.address().port());
        let scene = Scene::start(relay.customer(&key), &owners, &[&rules]).await?;
        Ok(Across { network, relay, scene })
    }
}

#[tokio::test]
async fn a_network_that_is_cut_in_the_middle_of_answers_costs_no_word() -> Result<()> {
    if !network::alone("a_network_that_is_cut_in_the_middle_of_answers_costs_no_word").await? {
        return Ok(());
    }
    let seconds = count("REKURSING_AWAY", 1)?;
    let Across { network, relay, mut scene } = Across::start("").await?;
    for cut in [Cut::Unplugged, Cut::Swallowed] {
        let begun = scene.begin().await?;
        let second = scene.second(&relay).await?;
        network.cut(cut).await?;
        begun.gate.open(WORDS);
        sleep(Duration::from_secs(seconds)).await;
        network.mend(cut).await?;
        let since = Instant::now();
        // Where it lasts, the other owner has gone on.
        scene.end(begun, &[End::Whole, End::Continued]).await?;
        drop(second);
        scene.back(since).await?;
        scene.report(&format!("{cut:?} for {seconds} s"))?;
    }
    scene.close(&relay).await
}

#[tokio::test]
async fn an_owner_whose_computer_gets_another_address_is_back_and_loses_no_word() -> Result<()> {
    if !network::alone("an_owner_whose_computer_gets_another_address_is_back_and_loses_no_word").await? {
        return Ok(());
    }
    let Across { mut network, relay, mut scene } = Across::start("heartbeat_ms = 3000").await?;
    let begun = scene.begin().await?;
    let second = scene.second(&relay).await?;
    network.move_on().await?;
    let since = Instant::now();
    // Where the relay misses the owner before he does, the other one has gone on.
    scene.end(begun, &[End::Whole, End::Continued]).await?;
    drop(second);
    scene.back(since).await?;
    scene.report("another address")?;
    scene.close(&relay).await
}

#[tokio::test]
async fn a_computer_that_sleeps_in_the_middle_of_an_answer_is_back_and_loses_no_word() -> Result<()> {
    let seconds = count("REKURSING_SLEEP", 8)?;
    // A short sleep is a long one to a relay that counts in less.
    let config = format!("{FREE}[time]\nheartbeat_ms = {}\n", (seconds * 375).min(20_000));
    let (relay, key) = Relay::funded(&config, "5.00").await?;
    let mut scene = Scene::start(relay.customer(&key), &relay.url("http"), &[]).await?;
    let begun = scene.begin().await?;
    let second = scene.second(&relay).await?;
    scene.owner()?.browser().freeze()?;
    begun.gate.open(WORDS);
    sleep(Duration::from_secs(seconds)).await;
    scene.owner()?.browser().thaw()?;
    let since = Instant::now();
    scene.end(begun, &[End::Whole, End::Continued]).await?;
    drop(second);
    scene.back(since).await?;
    scene.report(&format!("asleep for {seconds} s"))?;
    scene.close(&relay).await
}

#[tokio::test]
async fn a_relay_that_went_with_the_network_is_noticed_when_chrome_has_a_network_again() -> Result<()> {
    let (mut relay, key) = Relay::funded(FREE, "5.00").await?;
    let mut scene = Scene::start(relay.customer(&key), &relay.url("http"), &[]).await?;
    let popup = scene.owner()?.popup().await?;
    relay.process().signal(Signal::STOP)?;
    // What Chrome itself does to every document.
    scene.owner()?.agent().await?.eval("dispatchEvent(new Event('online'))").await?;
    popup.until("document.querySelector('#status').innerText.includes('fell silent')").await?;
    relay.process().signal(Signal::CONT)?;
    scene.back(Instant::now()).await?;
    scene.report("noticed by Chrome")?;
    scene.close(&relay).await
}

#[tokio::test]
async fn a_network_that_wants_its_user_to_sign_in_is_waited_out() -> Result<()> {
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    let line = Line::to(relay.address()).await?;
    let mut scene = Scene::start(relay.customer(&key), &line.url("http"), &[]).await?;
    for seconds in [1, 3] {
        let begun = scene.begin().await?;
        line.want_sign_in();
        begun.gate.open(WORDS);
        let popup = scene.owner()?.popup().await?;
        popup.until("document.querySelector('#status').innerText.includes('cannot be reached')").await?;
        popup.close().await?;
        sleep(Duration::from_secs(seconds)).await;
        line.put_up();
        let since = Instant::now();
        scene.end(begun, &[End::Whole]).await?;
        scene.back(since).await?;
    }
    scene.report("signing in")?;
    scene.close(&relay).await
}
