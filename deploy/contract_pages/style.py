"""How the pages look: one style sheet in each file, in dark and light, from the narrowest screen up."""

from typing import Final

CSS: Final = """
:root { color-scheme: light dark; --back: #fff; --text: #1c1e21; --soft: #57606a; --line: #d0d7de; --block: #f4f5f7;
  --link: #0757ad; --mark: #8a3b00; }
@media (prefers-color-scheme: dark) {
  :root { --back: #15171a; --text: #e4e6e9; --soft: #a3abb5; --line: #3a4048; --block: #20242a; --link: #82b6f2;
    --mark: #f0b072; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1rem 4rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
a { color: var(--link); }
nav a { display: inline-block; padding: .25rem .75rem .25rem 0; }
nav a[aria-current] { color: var(--text); font-weight: 600; text-decoration: none; }
h1 { margin: 1rem 0 .25rem; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 .5rem; padding-top: .5rem; border-top: 1px solid var(--line); font-size: 1.3rem; }
h3 { margin: 2rem 0 .25rem; font-size: 1.1rem; }
h2 a, h3 a { color: inherit; text-decoration: none; }
h4 { margin: 1rem 0 .25rem; font-size: 1rem; }
p, ul, dl { margin: .5rem 0; }
ul { padding-left: 1.25rem; }
.soft { color: var(--soft); }
.mark { color: var(--mark); }
code, pre { font: .875em/1.45 ui-monospace, monospace; }
code { background: var(--block); border-radius: 3px; padding: 0 .2em; overflow-wrap: anywhere; }
pre { background: var(--block); border: 1px solid var(--line); border-radius: 4px; margin: .5rem 0; padding: .75rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
pre code { background: none; padding: 0; }
details { border: 1px solid var(--line); border-radius: 4px; margin: .5rem 0; padding: 0 .75rem; }
summary { cursor: pointer; padding: .5rem 0; font-weight: 600; }
details > :last-child { margin-bottom: .75rem; }
table { border-collapse: collapse; margin: .75rem 0; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .375rem .75rem .375rem 0; text-align: left;
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td .of { display: none; }
td code { overflow-wrap: break-word; }
.wide { overflow-x: auto; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dl.facts dt { color: var(--soft); }
dl.facts dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
dl.fields dt { margin-top: .6rem; }
dl.fields dd { margin: 0 0 0 1rem; }
@media (max-width: 40rem) {
  thead { display: none; }
  table, tbody, tr, td { display: block; }
  tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  td { border: 0; padding: .125rem 0; }
  td .of { display: inline; color: var(--soft); font-size: .875rem; }
  td:first-child .of { display: none; }
  td:first-child { font-weight: 600; }
  td code { overflow-wrap: anywhere; }
  dl.facts { grid-template-columns: 1fr; gap: 0; }
  dl.facts dd { margin-bottom: .4rem; }
}
"""
