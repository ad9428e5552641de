// The style sheet of the HTML report. One variable per arm; dashes tell arms apart without colour.
#ifndef KAKEYA_EVAL_RECALL_REPORT_REPORT_STYLE_H_
#define KAKEYA_EVAL_RECALL_REPORT_REPORT_STYLE_H_

namespace kakeya {

inline constexpr const char* kReportStyle = R"css(
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#59636e;--line:#d8dee4;--soft:#f5f7f9;
--good:#1a7f37;--bad:#b42318;--odd:#9a6700;--heat:#0b62c4;--on-heat:#fff;
--c-oracle:#1b1f24;--c-restored:#0b62c4;--c-counterfactual:#8250df;--c-only-needle:#0f8a7e;
--c-reinsert:#b35900;--c-self:#bf3989;--c-window:#59636e;--c-foreign:#b42318;--c-untrained:#b35900;
--c-shuffled:#8250df;--c-without-needle:#0f8a7e;--c-full:#1b1f24;--c-history:#0f8a7e;--c-held:#8250df}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e6e9ec;--dim:#9aa4ae;--line:#343a41;
--soft:#1d2125;--good:#57c774;--bad:#ff8b80;--odd:#e3b341;--heat:#4c9aff;--on-heat:#0b0d0f;
--c-oracle:#e6e9ec;--c-restored:#4c9aff;--c-counterfactual:#b392f0;--c-only-needle:#4fd1c1;
--c-reinsert:#f0a35e;--c-self:#f778ba;--c-window:#9aa4ae;--c-foreign:#ff8b80;--c-untrained:#f0a35e;
--c-shuffled:#b392f0;--c-without-needle:#4fd1c1;--c-full:#e6e9ec;--c-history:#4fd1c1;--c-held:#b392f0}}
*{box-sizing:border-box}
body{margin:0 auto;padding:24px 20px 64px;max-width:1160px;background:var(--bg);color:var(--fg);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:26px;line-height:1.25;margin:0 0 4px}h2{font-size:19px;margin:40px 0 8px}
h3{font-size:16px;margin:24px 0 6px}p{max-width:80ch;margin:6px 0}.dim{color:var(--dim)}
.verdict{border-left:6px solid var(--odd);background:var(--soft);padding:12px 16px;margin:20px 0}
.verdict.holds{border-color:var(--good)}.verdict.fails{border-color:var(--bad)}
.verdict b{font-size:19px}.verdict ul{margin:6px 0 0;padding-left:20px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:20px}
figure{margin:8px 0;min-width:0}figcaption{font-weight:600}figure svg{max-width:100%}
figure>svg{width:100%;height:auto;display:block}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:4px 0;padding:0;font-size:13px;
color:var(--dim)}.legend li{display:flex;align-items:center;gap:5px}
svg text{fill:var(--dim);font-size:12px;font-family:inherit}svg .label{font-size:12.5px}
.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--dim);stroke-width:1}
.guide{stroke:var(--dim);stroke-width:1;stroke-dasharray:2 4}
.series{stroke:var(--c);fill:none;stroke-width:2}.series circle{fill:var(--c);stroke:var(--bg);
stroke-width:1}.whisker{stroke-width:1.5;opacity:.65}
.oracle{--c:var(--c-oracle)}.restored{--c:var(--c-restored)}
.counterfactual{--c:var(--c-counterfactual)}.only-needle{--c:var(--c-only-needle)}
.reinsert{--c:var(--c-reinsert)}.self{--c:var(--c-self)}.window{--c:var(--c-window)}
.foreign{--c:var(--c-foreign)}.untrained{--c:var(--c-untrained)}.shuffled{--c:var(--c-shuffled)}
.without-needle{--c:var(--c-without-needle)}.full{--c:var(--c-full)}.history{--c:var(--c-history)}.held{--c:var(--c-held)}
.counterfactual polyline,.foreign polyline,.history polyline{stroke-dasharray:7 3}
.reinsert polyline,.shuffled polyline{stroke-dasharray:2 3}
.self polyline,.without-needle polyline{stroke-dasharray:9 3 2 3}
.window polyline{stroke-dasharray:12 4}.held polyline{stroke-dasharray:9 3 2 3}
.only-needle polyline,.untrained polyline{stroke-dasharray:4 4}
.heat{fill:var(--heat)}.nothing{fill:var(--soft)}svg .cell{fill:var(--fg)}
svg .cell.strong{fill:var(--on-heat)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13.5px;white-space:nowrap;
font-variant-numeric:tabular-nums}th,td{padding:4px 10px;border-bottom:1px solid var(--line);
text-align:right}th:first-child,td:first-child{text-align:left}th{color:var(--dim);font-weight:600}
td.text{text-align:left;white-space:normal;max-width:80ch}
pre{background:var(--soft);padding:10px 12px;overflow-x:auto;font-size:13px}
)css";

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_REPORT_REPORT_STYLE_H_
