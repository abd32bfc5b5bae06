
// Gives the data of the page to lightweight-charts: candles of the history and of the forecast, the
// fan of quantiles and the paths of the samples as series of our own, volumes below.
"use strict";
(() => {
  const element = document.getElementById("chart");
  const legend = document.getElementById("legend");
  const data = JSON.parse(document.getElementById("data").textContent);
  const { history, forecast } = data;
  const COLOURS = {
    light: { text: "#1b1f24", grid: "#eceff2", line: "#d6dbe1", up: "#1a9c84", down: "#dd4a46",
      forecastUp: "#2f6fe4", forecastDown: "#9457d6", fan: "47, 111, 228", path: "rgba(47, 111, 228, 0.25)" },
    dark: { text: "#e4e8ed", grid: "#22272e", line: "#343b44", up: "#2fbfa3", down: "#f0645f",
      forecastUp: "#5c98ff", forecastDown: "#b98aff", fan: "92, 152, 255", path: "rgba(92, 152, 255, 0.28)" },
  };
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const colours = () => COLOURS[darkness.matches ? "dark" : "light"];

  // Times are the chart's own clock, shown as they were given: no time zone is applied.
  const moment = (seconds) => {
    const text = new Date(Math.round(seconds * 1000)).toISOString().replace("T", " ");
    return text.slice(0, data.intraday ? (data.seconds ? 19 : 16) : 10);
  };
  const number = (value) => (value === null || value === undefined ? "–" : value.toFixed(data.decimals));
  const large = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });

  const candles = (bars) => bars.time.map((time, at) => ({ time, open: bars.open[at],
    high: bars.high[at], low: bars.low[at], close: bars.close[at] }));
  const lastTime = history.time.at(-1);
  const lastClose = history.close.at(-1);
  // What begins at the last close of the history; `rows` are series over the horizon.
  const fromLast = (rows) => [
    { time: lastTime, values: rows.map(() => lastClose) },
    ...forecast.time.map((time, at) => ({ time, values: rows.map((row) => row[at]) })),
  ];

  /** A series whose items hold some values each; `paint(context, points, options)` draws them. */
  class Rows {
    constructor(paint) { this.paint = paint; }
    renderer() { return this; }
    update(shown) { this.bars = shown.bars; }
    priceValueBuilder({ values }) {
      return [Math.min(...values), Math.max(...values), values[values.length >> 1]];
    }
    isWhitespace(item) { return item.values === undefined; }
    defaultOptions() { return { ...LightweightCharts.customSeriesDefaultOptions }; }
    draw(target, toY) {
      if (!this.bars || this.bars.length < 2) return;
      target.useBitmapCoordinateSpace((scope) => {
        const { context, horizontalPixelRatio: across, verticalPixelRatio: down } = scope;
        const points = this.bars.map(({ x, originalData }) => ({
          x: x * across, ys: originalData.values.map((value) => toY(value) * down) }));
        context.save();
        context.lineWidth = Math.max(1, Math.round(down));
        this.paint(context, points, scope.bitmapSize.height);
        context.restore();
      });
    }
  }

  const trace = (context, points, row) => {
    context.beginPath();
    for (const { x, ys } of points) context.lineTo(x, ys[row]);
  };
  const names = Object.keys(data.quantiles).sort((a, b) => a - b);
  const rows = names.length ? names.map((name) => data.quantiles[name]) : [forecast.close];
  const paintFan = (context, points, height) => {
    const { fan, line } = colours();
    context.strokeStyle = line;
    context.setLineDash([6, 5]);
    context.beginPath();
    context.moveTo(points[0].x, 0);
    context.lineTo(points[0].x, height);
    context.stroke();
    context.setLineDash([]);
    const inner = data.bands.length;
    data.bands.forEach((_, at) => {
      context.beginPath();
      for (const { x, ys } of points) context.lineTo(x, ys[at]);
      for (const { x, ys } of [...points].reverse()) context.lineTo(x, ys[names.length - 1 - at]);
      context.closePath();
      context.fillStyle = `rgba(${fan}, ${0.36 / (inner + 0.5)})`;
      context.fill();
    });
    if (names.length % 2) {
      context.strokeStyle = `rgba(${fan}, 0.9)`;
      trace(context, points, inner);
      context.stroke();
    }
  };
  const paintPaths = (context, points) => {
    context.strokeStyle = colours().path;
    data.paths.forEach((_, row) => { trace(context, points, row); context.stroke(); });
  };

  const chart = LightweightCharts.createChart(element, {
    autoSize: true,
    localization: { locale: "en-GB", timeFormatter: moment },
    timeScale: { timeVisible: data.intraday, secondsVisible: data.seconds, minBarSpacing: 0.05 },
    crosshair: { mode: LightweightCharts.CrosshairMode.Normal },
  });
  const priceFormat = { type: "price", precision: data.decimals, minMove: 10 ** -data.decimals };
  const quiet = { priceLineVisible: false, lastValueVisible: false, priceFormat };
  const paths = data.paths.length ? chart.addCustomSeries(new Rows(paintPaths), quiet) : null;
  const fan = chart.addCustomSeries(new Rows(paintFan), quiet);
  const past = chart.addSeries(LightweightCharts.CandlestickSeries, { ...quiet, lastValueVisible: true });
  const ahead = chart.addSeries(LightweightCharts.CandlestickSeries, { ...quiet, lastValueVisible: true });
  paths?.setData(fromLast(data.paths));
  fan.setData(fromLast(rows));
  past.setData(candles(history));
  ahead.setData(candles(forecast));
  chart.priceScale("right", 0).applyOptions({ scaleMargins: { top: 0.17, bottom: 0.06 } });
  let volume = null;
  if (data.hasVolume) {
    volume = chart.addSeries(LightweightCharts.HistogramSeries,
      { ...quiet, priceFormat: { type: "volume" } }, 1);
    chart.panes()[0].setStretchFactor(4);
    chart.panes()[1].setStretchFactor(1);
  }

  const volumes = (bars, up, down) => bars.time.map((time, at) => (bars.volume[at] === null ? { time }
    : { time, value: bars.volume[at], color: (bars.close[at] >= bars.open[at] ? up : down) + "99" }));
  const candleColours = (up, down) => ({ upColor: up, downColor: down, wickUpColor: up,
    wickDownColor: down, borderVisible: false });
  const paint = () => {
    const now = colours();
    chart.applyOptions({
      layout: { background: { color: "transparent" }, textColor: now.text, attributionLogo: true,
        panes: { separatorColor: now.line } },
      grid: { vertLines: { color: now.grid }, horzLines: { color: now.grid } },
      timeScale: { borderColor: now.line },
      rightPriceScale: { borderColor: now.line },
    });
    past.applyOptions(candleColours(now.up, now.down));
    ahead.applyOptions(candleColours(now.forecastUp, now.forecastDown));
    fan.applyOptions({ color: now.forecastUp });
    volume?.setData([...volumes(history, now.up, now.down),
      ...volumes(forecast, now.forecastUp, now.forecastDown)]);
    for (const mark of document.querySelectorAll("#switches i")) {
      mark.style.background = mark.dataset.colour === "fan" || mark.dataset.colour === "path"
        ? `rgba(${now.fan}, 0.4)` : now[mark.dataset.colour];
    }
  };

  const places = new Map(history.time.map((time, at) => [time, [history, at]]));
  forecast.time.forEach((time, at) => places.set(time, [forecast, at]));
  const show = (time) => {
    const [bars, at] = places.get(time) ?? [forecast, forecast.time.length - 1];
    const lines = [[bars === forecast ? "mean forecast" : "history", moment(bars.time[at]),
      `O ${number(bars.open[at])}`, `H ${number(bars.high[at])}`, `L ${number(bars.low[at])}`,
      `C ${number(bars.close[at])}`]];
    if (data.hasVolume) lines[0].push(`V ${bars.volume[at] === null ? "–" : large.format(bars.volume[at])}`);
    if (bars === forecast) {
      if (names.length) {
        lines.push(["quantiles of the close",
          ...names.map((name) => `${+(100 * name).toFixed(4)}% ${number(data.quantiles[name][at])}`)]);
      }
      if (data.pCloseUp) lines.push(["P(close up)", `${Math.round(100 * data.pCloseUp[at])}%`]);
    }
    legend.replaceChildren(...lines.map(([name, ...rest]) => {
      const line = document.createElement("div");
      const title = document.createElement("b");
      title.textContent = name;
      line.append(title, "  " + rest.join("  "));
      return line;
    }));
  };
  chart.subscribeCrosshairMove(({ time }) => show(time));

  const switches = document.getElementById("switches");
  const choose = (text, colour, series) => {
    if (!series) return;
    const label = document.createElement("label");
    const box = document.createElement("input");
    const mark = document.createElement("i");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => series.applyOptions({ visible: box.checked }));
    mark.dataset.colour = colour;
    label.append(box, mark, text);
    switches.append(label);
  };
  choose("history", "up", past);
  choose("mean forecast", "forecastUp", ahead);
  choose(names.length ? `quantiles ${names.map((name) => `${+(100 * name).toFixed(4)}%`).join(", ")}`
    : "", "fan", names.length ? fan : null);
  choose(`${data.paths.length} paths of samples`, "path", paths);
  choose("volume", "up", volume);

  darkness.addEventListener("change", paint);
  paint();
  show();
  const bars = history.time.length;
  const horizon = forecast.time.length;
  chart.timeScale().setVisibleLogicalRange(
    { from: bars - Math.max(2 * horizon, 120), to: bars + horizon + 2 });
})();
