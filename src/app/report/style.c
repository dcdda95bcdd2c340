#include "app/report/page.h"

/* Colours are variables, so that dark mode is another set of them. Neighbours among the keys k0 to k10 are
 * told apart with every kind of colour-blindness, and each has a number or a name beside it. */
const char *const hl_page_style[] = {
    ":root{--page:#fff;--card:#f6f7f9;--ink:#1d2127;--soft:#565d67;--rule:#d9dde3;--grid:#e2e5ea;",
    "--good:#12693a;--bad:#b3261e;--warn:#fff4d6;--warn-ink:#5c4300;--link:#0b5fa5;",
    "--k0:#0b66ad;--k1:#a96100;--k2:#00644f;--k3:#c0619c;--k4:#3170eb;--k5:#894108;",
    "--k6:#a58a00;--k7:#622780;--k8:#8b9271;--k9:#0e8999;--k10:#72363b}\n",
    "@media screen and (prefers-color-scheme:dark){",
    ":root{--page:#14171b;--card:#1c2026;--ink:#e6e9ed;--soft:#a5adb8;--rule:#363c45;--grid:#2b3038;",
    "--good:#5fd38d;--bad:#ff8a80;--warn:#3a2f10;--warn-ink:#ffdf8f;--link:#7cc0ff;",
    "--k0:#4c9fe0;--k1:#d1b945;--k2:#46da94;--k3:#d67cbd;--k4:#a3f9dc;--k5:#e26b35;",
    "--k6:#f8d340;--k7:#a96cfd;--k8:#78a28e;--k9:#61cdf4;--k10:#f88a7b}}\n",
    ".k0{--c:var(--k0)}.k1{--c:var(--k1)}.k2{--c:var(--k2)}.k3{--c:var(--k3)}.k4{--c:var(--k4)}\n",
    ".k5{--c:var(--k5)}.k6{--c:var(--k6)}.k7{--c:var(--k7)}.k8{--c:var(--k8)}.k9{--c:var(--k9)}\n",
    ".k10{--c:var(--k10)}.ink{--c:var(--ink)}.late{--c:var(--bad)}\n",

    /* the page */
    "*{box-sizing:border-box}\n", "html{color-scheme:light dark;-webkit-text-size-adjust:100%}\n",
    "body{margin:0 auto;padding:clamp(12px,2vw,28px);max-width:1440px;overflow-wrap:anywhere;",
    "background:var(--page);color:var(--ink);",
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}\n",
    "h1{font-size:1.7rem;line-height:1.25;margin:0 0 .6em}\n",
    "h2{font-size:1.35rem;line-height:1.3;margin:2.2em 0 .4em;padding-top:.7em;border-top:2px solid "
    "var(--rule)}\n",
    "h3{font-size:1.05rem;margin:1.6em 0 .5em}\n",
    "h1 small,h2 small{font-size:.65em;font-weight:400;color:var(--soft)}\n", "a{color:var(--link)}\n",
    ".pass{color:var(--good);font-weight:600}.fail{color:var(--bad);font-weight:600}\n",
    ".absent,.nothing{color:var(--soft);font-style:italic}\n",
    ".warning{background:var(--warn);color:var(--warn-ink);padding:.7em 1em;border-radius:6px}\n",
    ".facts{display:flex;flex-wrap:wrap;gap:.7em 2em;margin:0 0 1em}.facts div{max-width:26em}\n",
    ".facts dt{color:var(--soft);font-size:.85em}.facts dd{margin:0;font-weight:600}\n",
    ".facts small{display:block;font-weight:400;color:var(--soft)}.facts .absent{font-weight:400}\n",

    /* cards: as many beside each other as there is room for */
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:16px;",
    "align-items:start}\n",
    ".cards.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr))}\n",
    ".summary{display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start}.summary>*{max-width:100%}.summary>"
    "div{display:grid;gap:16px}\n",
    "figure,.cards>.scroll,.summary .scroll{margin:0;padding:12px;background:var(--card);border-radius:8px;",
    "min-width:0}\n", "figure{display:flex;flex-wrap:wrap;gap:0 16px}figcaption,figure p{flex:1 1 100%}\n",
    "figcaption,caption{font-weight:600;text-align:left;padding-bottom:6px}\n",

    /* charts */
    "svg{display:block;flex:1 1 340px;min-width:0;max-width:560px;height:auto}\n",
    "svg text{font:11px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif;fill:var(--soft)}\n",
    "svg .number,svg .note{fill:var(--ink);stroke:var(--card);stroke-width:2.5px;paint-order:stroke;",
    "stroke-linejoin:round}svg .number{font-weight:600}\n",
    ".grid{stroke:var(--grid)}.frame{stroke:var(--soft);fill:none}\n",
    ".line{fill:none;stroke:var(--c);stroke-width:1.2;stroke-linejoin:round}.line.strong{stroke-width:1.8}."
    "line.thick{stroke-width:3}\n",
    ".dot,.area{fill:var(--c)}.area.faint{fill-opacity:.22}\n",
    ".mark{stroke:var(--c);stroke-width:1.2;stroke-dasharray:4 3;fill:none}\n",
    ".keys{flex:1 1 180px;display:flex;align-content:flex-start;flex-wrap:wrap;gap:.15em "
    "1.2em;list-style:none;margin:8px 0 "
    "0;padding:0;font-size:.87em}\n",
    ".key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em;",
    "background:var(--c)}.key.stroke{height:3px;vertical-align:.25em}\n",

    /* tables */
    ".scroll{overflow-x:auto}figure .scroll{flex:1 1 300px;margin-top:10px}\n",
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.87em}\n",
    "th,td{padding:.3em 0 .3em .6em;text-align:right;vertical-align:top;overflow-wrap:normal;",
    "border-bottom:1px solid var(--rule)}\n",
    "td{white-space:nowrap}td.words,td .absent{white-space:normal}td.words{min-width:6em}\n",
    "td .absent{display:block;min-width:9em;max-width:16em}\n",
    "thead th{color:var(--soft);font-weight:600}.cards thead th{white-space:nowrap}\n",
    "thead a{display:inline-block;max-width:9em;overflow-wrap:anywhere}\n",
    ".words,th:first-child{text-align:left}th:first-child{padding-left:0}\n",
    "th[scope=row]{font-weight:400;min-width:9.7em;overflow-wrap:anywhere;position:sticky;left:0;",
    "background:var(--card)}.group th{padding-top:1em;font-weight:600}\n", ".bar{min-width:6.5em}\n",
    ".bar span:first-child{display:block;height:3px;margin:2px 0 1px auto;background:var(--k0);",
    "border-radius:2px}\n",

    "@media (max-width:600px){th[scope=row]{max-width:38vw}}\n",
    "@media print{body{max-width:none;padding:0;font-size:11px}\n",
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}\n",
    "figure,tr,h2,h3{break-inside:avoid}h2,h3{break-after:avoid}.scroll{overflow:visible}}\n", NULL};
