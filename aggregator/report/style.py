"""How a report looks, on a screen and on paper."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, Arial, sans-serif; color: #1c232b;
  max-width: 70rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; } .quiet { color: #59636e; font-size: 0.9rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.35rem 0.7rem; border-bottom: 1px solid #e1e4e8;
  white-space: nowrap; }
thead th { color: #59636e; font-weight: 500; font-size: 0.85rem; }
.wide { overflow-x: auto; }
.bar { display: flex; width: 16rem; height: 1.1rem; border-radius: 4px; overflow: hidden; }
.swatch { display: inline-block; width: 0.75rem; height: 0.75rem; border-radius: 3px;
  box-shadow: inset 0 0 0 1px #0003; }
.heat { font-size: 0.75rem; } .heat th, .heat td { padding: 0.2rem 0.35rem; }
.heat td { text-align: center; min-width: 1.6rem; border: 1px solid #fff; color: #1c232b; }
.unseen { background: repeating-linear-gradient(45deg, #fff 0 3px, #e1e4e8 3px 5px); }
section { break-inside: avoid; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } .wide { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
