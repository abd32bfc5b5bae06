"""The look of the suite's page: data, no logic. Light or dark as the reader's system is."""

from __future__ import annotations

STYLE = """
:root {
  --page: #f5f6f8; --card: #ffffff; --ink: #1a1e24; --quiet: #5a6472; --line: #dde2e9;
  --good: #17753d; --good-soft: #dcf1e4; --bad: #b3261e; --bad-soft: #fbe3e1;
  --warn: #8a5a00; --warn-soft: #fbeecf; --none-soft: #e8ebef; --accent: #0b5cad;
  --shadow: 0 1px 2px rgb(20 30 50 / .06), 0 4px 16px rgb(20 30 50 / .05);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12151a; --card: #1b1f26; --ink: #e4e8ee; --quiet: #97a2b0; --line: #2f3742;
    --good: #6fd19a; --good-soft: #17352a; --bad: #ff9a92; --bad-soft: #43211f;
    --warn: #f0c36a; --warn-soft: #3d301a; --none-soft: #2a3039; --accent: #7db7f2;
    --shadow: none;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 68rem; background: var(--page);
  color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif;
}
h1 { margin: 0; font-size: 1.35rem; font-weight: 650; }
h2 { margin: 2.25rem 0 .75rem; font-size: 1.1rem; font-weight: 650; }
h3 { margin: 0; font-size: 1.02rem; font-weight: 650; overflow-wrap: anywhere; }
p { margin: .35rem 0; }
code, .id, pre {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 13px;
}
code { padding: .05em .3em; border-radius: 4px; background: var(--none-soft); }
.quiet { color: var(--quiet); }
.card {
  margin: 0 0 1rem; padding: 1rem 1.25rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; box-shadow: var(--shadow);
}
.hero {
  display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: center; margin-top: 1rem;
}
.rate { font-size: 2.6rem; font-weight: 700; line-height: 1; letter-spacing: -.02em; }
.rate.good { color: var(--good); } .rate.bad { color: var(--bad); }
.hero .facts { flex: 1 1 20rem; }
.bar {
  display: flex; height: 10px; margin: .5rem 0; border-radius: 5px; overflow: hidden;
  background: var(--none-soft);
}
.bar span { display: block; }
.bar .passed { background: var(--good); } .bar .failed { background: var(--bad); }
.bar .skipped { background: var(--warn); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; color: var(--quiet); }
.remark {
  padding: .5rem .75rem; border-radius: 8px; background: var(--warn-soft); color: var(--warn);
}
.head { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline; }
.head .count { margin-left: auto; font-variant-numeric: tabular-nums; color: var(--quiet); }
table { width: 100%; margin-top: .6rem; border-collapse: collapse; }
td, th { padding: .45rem .6rem; text-align: left; vertical-align: top; }
tr + tr td, thead + tbody td { border-top: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 600; font-size: .85rem; }
td.state { width: 6.5rem; padding-left: 0; } td.key { width: 13rem; overflow-wrap: anywhere; }
td.told { overflow-wrap: anywhere; } td.time {
  width: 5rem; padding-right: 0; text-align: right; white-space: nowrap; color: var(--quiet);
  font-variant-numeric: tabular-nums;
}
.state-mark {
  display: inline-block; padding: .05rem .55rem; border-radius: 999px; font-size: .82rem;
  font-weight: 600; white-space: nowrap;
}
.passed > .state-mark, .state-mark.passed { background: var(--good-soft); color: var(--good); }
.state-mark.failed { background: var(--bad-soft); color: var(--bad); }
.state-mark.skipped { background: var(--warn-soft); color: var(--warn); }
.state-mark.not_run { background: var(--none-soft); color: var(--quiet); }
.figure { display: flex; flex-wrap: wrap; gap: .15rem .6rem; align-items: center; }
.gauge {
  position: relative; flex: 0 0 7rem; height: 6px; border-radius: 3px; background: var(--none-soft);
}
.gauge i { position: absolute; inset: 0 auto 0 0; border-radius: 3px; background: var(--good); }
.gauge.missed i { background: var(--bad); }
.gauge b { position: absolute; top: -3px; width: 2px; height: 12px; background: var(--quiet); }
.problem { border-left: 4px solid var(--bad); }
.problem.skipped { border-left-color: var(--warn); }
dl { display: grid; grid-template-columns: 5rem 1fr; gap: .3rem .75rem; margin: .6rem 0 0; }
dl + dl { padding-top: .6rem; border-top: 1px solid var(--line); }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
dd.instead { color: var(--good); }
details { margin-top: .35rem; } summary { cursor: pointer; color: var(--accent); }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
pre { margin: .4rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.overview { margin-top: 0; } .overview td { padding-block: .3rem; vertical-align: middle; }
.overview td:first-child { padding-left: 0; overflow-wrap: anywhere; }
.overview .share { width: 35%; } .overview .bar { margin: 0; }
.overview .count {
  width: 8.5rem; padding-right: 0; text-align: right; color: var(--quiet);
  font-variant-numeric: tabular-nums;
}
.sides td { width: 50%; } .sides td.asked { width: auto; color: var(--quiet); }
ul.changes { margin: 0; padding: 0; list-style: none; } ul.changes li { padding: .25rem 0; }
@media (max-width: 640px) {
  body { padding: 1rem .75rem 3rem; }
  .cases tr, .overview tr { display: grid; grid-template-columns: auto 1fr; padding: .4rem 0; }
  .cases tr + tr, .overview tr + tr { border-top: 1px solid var(--line); }
  .cases tr td, .overview tr td { width: auto; padding: .1rem 0; border-top: 0; }
  .cases td.key { padding-left: .6rem; } .cases td.time { display: none; }
  .cases td.told, .overview td.share { grid-column: 1 / -1; }
  .overview tr { grid-template-columns: 1fr auto; }
  .overview td.share { grid-row: 2; width: auto; }
  dl { grid-template-columns: 1fr; gap: .1rem; }
}
@media print { .card { break-inside: avoid; box-shadow: none; } }
"""
