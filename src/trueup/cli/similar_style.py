"""The look of `trueup similar`'s page: data, no logic. Light or dark as the reader's system is."""

from __future__ import annotations

STYLE = """
:root {
  --page: #f6f7f9; --card: #ffffff; --ink: #1b1f24; --quiet: #5b6470; --line: #d9dee5;
  --differs: #fff3d6; --missing: #eef0f3; --accent: #0b5cad; --bar: #dbe7f5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --card: #1c2026; --ink: #e3e7ec; --quiet: #98a2ae; --line: #333a43;
    --differs: #3a3114; --missing: #181b20; --accent: #7db7f2; --bar: #23384f;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem; max-width: 110rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif;
}
h1 { margin: 0; font-size: 1.4rem; }
header p { margin: .25rem 0; }
.quiet { color: var(--quiet); }
code, td.code, .place { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 13px; }
.place { overflow-wrap: anywhere; }
details.pair, section.group, details.notes {
  margin: 1rem 0; background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  overflow: hidden;
}
summary, section.group > h2 {
  display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; margin: 0;
  padding: .5rem .75rem; font-size: 1rem; font-weight: normal; cursor: pointer;
}
section.group > h2 { cursor: default; }
summary::before { content: "▸"; color: var(--quiet); }
details[open] > summary::before { content: "▾"; }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
.score {
  padding: 0 .5rem; border-radius: 4px; background: var(--bar); color: var(--ink);
  font-weight: 600; font-variant-numeric: tabular-nums;
}
h2.query { margin: 2rem 0 .5rem; font-size: 1.1rem; }
table {
  width: 100%; border-collapse: collapse; table-layout: fixed; border-top: 1px solid var(--line);
}
th {
  padding: .35rem .75rem; text-align: left; font-weight: 600; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere;
}
th small { display: block; color: var(--quiet); font-weight: normal; }
td { vertical-align: top; padding: 0 .5rem; }
td.number {
  width: 4.5em; text-align: right; color: var(--quiet); user-select: none; font-size: 12px;
  font-variant-numeric: tabular-nums; border-right: 1px solid var(--line);
}
td.code { white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
td.code + td.number { border-left: 1px solid var(--line); }
.differs { background: var(--differs); }
.missing { background: var(--missing); }
ul { margin: .25rem 0 .75rem; padding-left: 2rem; }
p.after { padding: 0 .75rem; color: var(--quiet); }
col.number { width: 4.5em; }
@media (max-width: 800px) { body { padding: .5rem; } td.number, col.number { width: 3em; } }
@media print { details.pair { break-inside: avoid; } }
"""
