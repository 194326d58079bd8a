//! A thousand scripts and pieces of markup, in the ways in which somebody may write them where others read them,
//! and traps for everything that one of them could do.

/// How many there are.
pub const MANY: usize = 1_000;

/// What would run, load or lead away where a text is taken for markup, an address or a script. `T` is
/// a call that leaves a trace.
const VECTORS: [&str; 50] = [
    "<script>T</script>",
    "<script src=//127.0.0.2/T.js></script>",
    "<script type=module>T</script>",
    "<ScRiPt>T</sCrIpT>",
    "<script>T//",
    "</title><script>T</script>",
    "</style><script>T</script>",
    "</textarea><script>T</script>",
    "</template><script>T</script>",
    "--><script>T</script><!--",
    "]]><script>T</script>",
    "<img src=x onerror=T>",
    "<img src=x:x onerror='T'>",
    "<img/src=x/onerror=T>",
    "<img src=http://127.0.0.2/T>",
    "<image href=x onerror=T>",
    "<svg onload=T>",
    "<svg/onload=T//",
    "<svg><script>T</script></svg>",
    "<svg><animate onbegin=T attributeName=x dur=1s>",
    "<svg><use href=data:image/svg+xml,T#x></svg>",
    "<svg><a href=javascript:T><text>x</text></a></svg>",
    "<math><mtext><img src onerror=T></mtext></math>",
    "<iframe src=javascript:T></iframe>",
    "<iframe srcdoc='<script>parent.T</script>'></iframe>",
    "<object data=javascript:T></object>",
    "<embed src=javascript:T>",
    "<body onload=T>",
    "<details open ontoggle=T><summary>x</summary></details>",
    "<input autofocus onfocus=T>",
    "<select autofocus onfocus=T></select>",
    "<video src=x onerror=T></video>",
    "<audio src=x onerror=T></audio>",
    "<video><source onerror=T></video>",
    "<marquee onstart=T>x</marquee>",
    "<div style=animation-name:turn onanimationstart=T>x</div>",
    "<style>@import 'http://127.0.0.2/T.css';</style>",
    "<link rel=stylesheet href=http://127.0.0.2/T.css>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.2/T'>",
    "<base href=http://127.0.0.2/T/>",
    "<form action=javascript:T><button autofocus>x</button></form>",
    "<a href=javascript:T id=status>x</a>",
    "javascript:T",
    "data:text/html,<script>T</script>",
    "\"><img src=x onerror=T>",
    "' autofocus onfocus=T x='",
    "`${T}`",
    "${T} {{T}} #{T} $1 $2 %s",
    "*<b>T</b>* $1*__proto__*constructor*",
    "\u{202e}<img src=x onerror=T>\u{2066}",
];

/// Returns all of them, each of the vectors in ten ways and more: as it is, for HTML, for an address, for a script,
/// twice, and wrapped.
pub fn payloads() -> Vec<String> {
    let ways: [fn(&str) -> String; 10] = [
        |text| text.to_owned(),
        |text| text.replace('<', "&lt;").replace('>', "&gt;"),
        |text| text.replace('<', "%3C").replace('>', "%3E"),
        |text| text.replace('<', "\\u003c").replace('>', "\\u003e"),
        |text| text.replace('<', "\u{ff1c}").replace('>', "\u{ff1e}"),
        |text| text.replace('<', "<\u{0}").replace(' ', "\u{b}"),
        |text| text.replace(' ', "/\t\n"),
        |text| text.to_uppercase(),
        |text| format!("{text}{text}"),
        |text| format!("qwen2.5-7b {text} Q4_K_M"),
    ];
    let numbered = |text: &str| text.chars().map(|letter| format!("&#{};", u32::from(letter))).collect();
    let hexed = |text: &str| text.chars().map(|letter| format!("&#x{:x}", u32::from(letter))).collect();
    let mut payloads: Vec<String> = Vec::new();
    for (at, vector) in VECTORS.iter().enumerate() {
        // Each has a number, by which it is known if it runs.
        let parens = |number: usize| vector.replace('T', &format!("trace({number})"));
        let ticks = |number: usize| vector.replace('T', &format!("alert`{number}`"));
        for write in ways {
            payloads.push(write(&parens(10_000 + payloads.len())));
            payloads.push(write(&ticks(10_000 + payloads.len())));
        }
        if at % 5 == 0 {
            payloads.push(numbered(&parens(10_000 + payloads.len())));
            payloads.push(hexed(&parens(10_000 + payloads.len())));
        }
    }
    payloads.truncate(MANY);
    payloads
}

/// Sets traps for everything that a payload could do. What fell into one is in `traces`; `census()` lists what on
/// the page could run or load something, and `loaded()` what came from elsewhere.
pub const TRAPS: &str = "
globalThis.traces = [];
globalThis.trace = (what) => traces.push(`ran ${what}`);
for (const name of ['alert', 'confirm', 'prompt', 'open', 'print']) globalThis[name] = () => traces.push(name);
addEventListener('securitypolicyviolation', (event) => traces.push(`${event.violatedDirective} ${event.blockedURI}`));
addEventListener('beforeunload', () => traces.push('left'));
addEventListener('unhandledrejection', ({ reason }) => traces.push(`${reason}`));
addEventListener('error', ({ message }) => traces.push(message));
globalThis.census = () => [...document.querySelectorAll('*')].filter((element) =>
  ['SCRIPT', 'IMG', 'IMAGE', 'IFRAME', 'OBJECT', 'EMBED', 'VIDEO', 'AUDIO', 'SOURCE', 'STYLE', 'LINK', 'META', 'BASE', 'MARQUEE',
   'MATH', 'FORM', 'A', 'B', 'USE', 'TEXTAREA', 'TEMPLATE'].includes(element.tagName.toUpperCase())
  || element.getAttributeNames().some((name) => name.startsWith('on') || ['action', 'formaction', 'srcdoc', 'style', 'xlink:href'].includes(name)))
  .map((element) => element.outerHTML.slice(0, 80)).sort().join('\\n');
globalThis.loaded = () => performance.getEntriesByType('resource').map(({ name }) => name)
  .filter((name) => !name.startsWith(location.origin)).join();
";
