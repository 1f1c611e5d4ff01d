// Draws the panels of a dashboard from answers of Prometheus. Not Grafana, and not meant to look like it in detail: it shows which
// data a panel has, in which unit, with which thresholds and words.
'use strict';
const { page, answers, start, end, choice } = JSON.parse(document.getElementById('data').textContent);
const COLOURS = { green: '#56a64b', yellow: '#e0b400', orange: '#ff780a', red: '#e02f44', blue: '#3274d9' };
const PALETTE = ['#73bf69', '#5794f2', '#b877d9', '#f2cc0c', '#8ab8ff', '#ff9830', '#96d98d', '#ca95e5', '#56a4a8', '#f9934e', '#a0a7b4', '#e0679b', '#705da0', '#508642', '#6d9eeb'];
const WIDTH = 1576, UNIT = 38, COLUMN = WIDTH / 24;
const colour = (name) => COLOURS[name] || name;
const make = (tag, properties = {}, ...inner) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...inner);
  return element;
};
const svg = (tag, attributes, text) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

// --- words and numbers
const rounded = (value, decimals) => {
  if (decimals !== undefined) return value.toFixed(decimals);
  const size = Math.abs(value);
  return Number(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3)).toString();
};
const scaled = (value, steps, base, decimals) => {
  let index = 0;
  while (Math.abs(value) >= base && index < steps.length - 1) { value /= base; index += 1; }
  return rounded(value, index || Math.abs(value) < 10 ? undefined : decimals) + steps[index];
};
const duration = (value, decimals) => {
  const size = Math.abs(value);
  if (size === 0) return '0 s';
  if (size < 1e-3) return rounded(value * 1e6, 0) + ' µs';
  if (size < 1) return rounded(value * 1e3) + ' ms';
  for (const [unit, seconds] of [['weeks', 604800], ['days', 86400], ['hours', 3600], ['min', 60]]) {
    if (size >= seconds) return rounded(value / seconds, 1) + ' ' + unit;
  }
  return rounded(value, decimals ?? (size < 10 ? 2 : 1)) + ' s';
};
const format = (value, unit, decimals) => {
  if (unit === 's') return duration(value, decimals);
  if (unit === 'percentunit') return rounded(value * 100, decimals ?? (value > 0 && value < 0.1 ? 1 : undefined)) + ' %';
  if (unit === 'bytes') return scaled(value, [' B', ' KiB', ' MiB', ' GiB', ' TiB'], 1024, 0);
  if (unit === 'Bps') return scaled(value, [' B/s', ' kB/s', ' MB/s', ' GB/s'], 1000, 0);
  if (unit === 'cps') return rounded(value) + ' /s';
  if (unit && unit.startsWith('suffix:')) return rounded(value, decimals) + unit.slice(7);
  return unit === 'none' ? rounded(value, decimals) : scaled(value, ['', ' K', ' Mil', ' Bil'], 1000, decimals);
};
const mapped = (value, maps = []) => {
  for (const map of maps) {
    if (map.type === 'value' && map.options[value]) return map.options[value];
    if (map.type === 'range' && value >= map.options.from && value <= map.options.to) return map.options.result;
  }
  return null;
};
const stepped = (value, thresholds) => {
  let found = 'blue';
  for (const step of thresholds?.steps || []) if (step.value === null || value >= step.value) found = step.color;
  return found;
};

// --- what the panel says about a field
const matches = (matcher, name) => {
  if (matcher.id === 'byName') return matcher.options === name;
  const parts = matcher.options.match(/^\/(.*)\/$/);
  return matcher.id === 'byRegexp' && new RegExp(parts ? parts[1] : matcher.options).test(name);
};
const field = (panel, name) => {
  const config = { ...panel.fieldConfig.defaults, custom: { ...panel.fieldConfig.defaults.custom } };
  for (const override of panel.fieldConfig.overrides || []) {
    if (!matches(override.matcher, name)) continue;
    for (const { id, value } of override.properties) {
      if (id.startsWith('custom.')) config.custom[id.slice(7)] = value; else config[id] = value;
    }
  }
  return config;
};
const named = (target, labels) => {
  const legend = target.legendFormat;
  if (legend && legend !== '__auto') return legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '').trim();
  const rest = Object.entries(labels).filter(([key]) => key !== '__name__');
  return rest.length ? rest.map(([key, value]) => `${key}="${value}"`).join(' ') : 'value';
};
const series = (panel) => panel.targets.flatMap((target) => (answers[`${panel.id} ${target.refId}`] || []).map((one) => {
  const name = named(target, one.metric);
  const points = (one.values || [one.value]).map(([time, value]) => [Number(time), Number(value)]);
  return { name, points, labels: one.metric, target, config: field(panel, name) };
}));

// --- axes
const nice = (top) => {
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((limit) => limit >= top * 0.999);
};
const clock = (time) => new Date(time * 1000).toISOString().slice(11, 16);
const timeAxis = (picture, left, width, bottom) => {
  const step = Math.max(60, Math.ceil((end - start) / (width / 90) / 60) * 60);
  for (let time = Math.ceil(start / step) * step; time <= end; time += step) {
    const x = left + (width * (time - start)) / (end - start);
    picture.append(svg('line', { x1: x, x2: x, y1: 2, y2: bottom, stroke: '#23262c' }));
    picture.append(svg('text', { x, y: bottom + 13, 'text-anchor': 'middle' }, clock(time)));
  }
  return (time) => left + (width * (time - start)) / (end - start);
};
const legend = (body, entries) => {
  const box = make('div', { className: 'legend' });
  for (const { name, shade, dash } of entries) {
    const mark = make('i', { className: dash ? 'dash' : '' });
    mark.style.borderColor = shade;
    box.append(make('span', {}, mark, name));
  }
  body.append(box);
  return Math.min(36, box.scrollHeight || 18) + 4;
};
const shades = (lines) => {
  let next = 0;
  for (const line of lines) {
    const fixed = line.config.color?.mode === 'fixed' ? line.config.color.fixedColor : null;
    line.shade = fixed ? colour(fixed) : PALETTE[next++ % PALETTE.length];
    line.dash = Boolean(line.config.custom.lineStyle);
  }
};

// --- kinds of panels
const drawLines = (panel, body, width, height) => {
  const lines = series(panel);
  shades(lines);
  const below = legend(body, [...new Map(lines.map((line) => [line.name, line])).values()]);
  const config = panel.fieldConfig.defaults, custom = config.custom || {};
  const stacked = custom.stacking?.mode === 'normal', bars = custom.drawStyle === 'bars';
  const bottom = height - below - 18;
  if (stacked) {
    const sums = new Map();
    for (const line of lines.filter((one) => !one.dash)) {
      line.base = new Map(line.points.map(([time]) => [time, sums.get(time) || 0]));
      line.points = line.points.map(([time, value]) => { sums.set(time, (sums.get(time) || 0) + value); return [time, sums.get(time)]; });
    }
  }
  const values = lines.flatMap((line) => line.points.map(([, value]) => value));
  let high = Math.max(...values, 0), low = Math.min(...values, 0);
  if (config.unit === 'percentunit') { high = 1; low = 0; }
  high = high === low ? high + 1 : config.unit === 'percentunit' ? 1 : high <= 0 ? 0 : nice(high * 1.04);
  if (low < 0) low = -nice(-low * 1.04);
  const ticks = [0, 1, 2, 3, 4].map((index) => low + ((high - low) * index) / 4);
  const labels = ticks.map((tick) => format(tick, config.unit, Number.isInteger(tick) ? config.decimals : undefined));
  const left = Math.max(...labels.map((label) => label.length)) * 6.2 + 8, inner = width - left - 6;
  const picture = svg('svg', { width, height: height - below });
  const y = (value) => bottom - ((bottom - 4) * (value - low)) / (high - low);
  ticks.forEach((tick, index) => {
    picture.append(svg('line', { x1: left, x2: width, y1: y(tick), y2: y(tick), stroke: '#2b2e35' }));
    picture.append(svg('text', { x: left - 6, y: y(tick) + 4, 'text-anchor': 'end' }, labels[index]));
  });
  const x = timeAxis(picture, left, inner, bottom);
  const gap = 3.5 * Math.max(1, answers.steps[panel.id]);
  for (const line of [...lines].reverse()) {
    if (bars && !line.dash) {
      const wide = Math.max(1.5, (inner * answers.steps[panel.id]) / (end - start) - 1);
      for (const [time, value] of line.points) {
        const from = y(line.base?.get(time) || 0), to = y(value);
        picture.append(svg('rect', { x: x(time) - wide / 2, y: Math.min(from, to), width: wide, height: Math.abs(from - to), fill: line.shade, opacity: 0.85 }));
      }
      continue;
    }
    let path = '', before = null, area = '';
    const close = (from) => { if (from) area += `L${x(before)},${y(0)}L${x(from)},${y(0)}Z`; };
    let first = null;
    for (const [time, value] of line.points) {
      const joined = before !== null && time - before <= gap;
      if (!joined) { close(first); first = time; }
      const at = `${joined ? 'L' : 'M'}${x(time).toFixed(1)},${y(value).toFixed(1)}`;
      path += at; area += at; before = time;
    }
    close(first);
    if (!line.dash && (custom.fillOpacity || 0) > 0) picture.append(svg('path', { d: area, fill: line.shade, opacity: (stacked ? 45 : custom.fillOpacity) / 100 }));
    picture.append(svg('path', { d: path, fill: 'none', stroke: line.shade, 'stroke-width': line.dash ? 2 : 1.5, ...(line.dash ? { 'stroke-dasharray': '8 6' } : {}) }));
  }
  body.prepend(picture);
};
const drawStates = (panel, body, width, height) => {
  const lines = series(panel).sort((a, b) => (a.name < b.name ? -1 : 1));
  const seen = new Map();
  const each = (height - 44) / lines.length, left = Math.min(210, Math.max(...lines.map((line) => line.name.length)) * 6.6 + 10);
  const picture = svg('svg', { width, height: height - 20 });
  const x = timeAxis(picture, left, width - left - 6, height - 38);
  const step = answers.steps[panel.id], grid = panel.type === 'status-history';
  lines.forEach((line, index) => {
    const top = 4 + index * each, tall = Math.max(2, each * 0.84);
    picture.append(svg('text', { x: left - 8, y: top + tall / 2 + 4, 'text-anchor': 'end' }, line.name.length > 31 ? line.name.slice(0, 30) + '…' : line.name));
    const runs = [];
    for (const [time, value] of line.points) {
      const last = runs.at(-1);
      if (!grid && last && last.value === value && time - last.to <= step * 1.5) last.to = time; else runs.push({ from: time, to: time, value });
    }
    for (const run of runs) {
      const map = mapped(run.value, line.config.mappings);
      const shade = colour(map?.color || stepped(run.value, line.config.thresholds));
      const words = map?.text || format(run.value, line.config.unit, line.config.decimals);
      seen.set(map?.text || (line.config.mappings?.length || line.config.unit === 'percentunit' ? null : words), shade);
      const wide = Math.max(1, x(run.to + step) - x(run.from) - (grid ? 1 : 0));
      picture.append(svg('rect', { x: x(run.from), y: top, width: Math.min(wide, width - x(run.from)), height: tall, fill: shade, opacity: 0.8 }));
      if (wide > words.length * 7 + 6 && tall > 10) picture.append(svg('text', { class: 'in', x: x(run.from) + Math.min(wide, width - x(run.from)) / 2, y: top + tall / 2 + 3.5, 'text-anchor': 'middle' }, words));
    }
  });
  body.append(picture);
  legend(body, [...seen].filter(([name]) => name).map(([name, shade]) => ({ name, shade })));
};
const drawStat = (panel, body, width, height) => {
  const box = make('div', { className: 'stats' });
  for (const line of series(panel)) {
    const value = line.points.at(-1)[1], map = mapped(value, line.config.mappings);
    const shade = colour(map?.color || stepped(value, line.config.thresholds));
    const words = map?.text || format(value, line.config.unit, line.config.decimals);
    const cell = make('div', { className: 'stat' }, make('div', {}, words));
    if (line.target.legendFormat && line.target.legendFormat !== '__auto') cell.firstChild.append(make('small', { textContent: line.name }));
    cell.style.fontSize = Math.min(height * 0.55, (width / box.childElementCount || width) / Math.max(3, words.length) * 1.25, 40) + 'px';
    if (panel.options?.colorMode === 'background') cell.style.background = shade; else cell.style.color = '#8ab8ff';
    box.append(cell);
  }
  body.append(box);
};
const drawTable = (panel, body, width, height) => {
  const rows = new Map(), alone = panel.targets.length === 1;
  for (const target of panel.targets) {
    for (const one of answers[`${panel.id} ${target.refId}`] || []) {
      const key = JSON.stringify(Object.entries(one.metric).filter(([label]) => label !== '__name__').sort());
      const row = rows.get(key) || { ...one.metric };
      row[alone ? 'Value' : `Value #${target.refId}`] = Number(one.value[1]);
      rows.set(key, row);
    }
  }
  const order = panel.transformations.find((one) => one.id === 'organize').options.indexByName;
  const names = Object.keys(order).sort((a, b) => order[a] - order[b]);
  const columns = names.map((name) => ({ name, config: field(panel, name) })).filter(({ name }) => name.startsWith('Value') || [...rows.values()].some((row) => row[name]));
  const list = [...rows.values()], sort = panel.options?.sortBy?.[0];
  if (sort) {
    const by = columns.find((column) => column.config.displayName === sort.displayName)?.name;
    list.sort((a, b) => { const [one, two] = [a[by] ?? -Infinity, b[by] ?? -Infinity]; return (one < two ? -1 : one > two ? 1 : 0) * (sort.desc ? -1 : 1); });
  }
  const out = make('table', {}, make('tr', {}, ...columns.map(({ config }) => make('th', { textContent: config.displayName }))));
  for (const row of list) {
    out.append(make('tr', {}, ...columns.map(({ name, config }) => {
      const value = row[name], cell = make('td');
      if (value === undefined) return cell;
      const map = mapped(value, config.mappings);
      const number = typeof value === 'number';
      cell.append(map?.text || (number ? format(value, config.unit, config.decimals) : value));
      const shade = map?.color || (number && config.thresholds?.steps?.length > 1 ? stepped(value, config.thresholds) : null);
      if (shade) cell.style.color = colour(shade);
      if (map) cell.style.fontWeight = 600;
      if (config.custom.cellOptions?.type === 'gauge') {
        const bar = make('span', { className: 'bar' });
        Object.assign(bar.style, { width: Math.max(1, value * 70) + 'px', background: colour(shade || 'blue') });
        cell.prepend(bar);
      }
      if (config.links?.length) cell.className = 'link';
      return cell;
    })));
  }
  body.append(out);
};
const drawGauges = (panel, body, width, height) => {
  const lines = series(panel), most = panel.fieldConfig.defaults.max ?? Math.max(...lines.map((line) => line.points.at(-1)[1]));
  const picture = svg('svg', { width, height }), each = height / Math.max(lines.length, 6);
  lines.forEach((line, index) => {
    const value = line.points.at(-1)[1], top = index * each, words = format(value, line.config.unit, line.config.decimals);
    picture.append(svg('text', { x: 0, y: top + 11 }, line.name));
    picture.append(svg('rect', { x: 0, y: top + 15, width: width - 80, height: each - 20, fill: '#22252b' }));
    picture.append(svg('rect', { x: 0, y: top + 15, width: Math.max(1, ((width - 80) * value) / (most || 1)), height: each - 20, fill: colour(stepped(value, line.config.thresholds)) }));
    picture.append(svg('text', { x: width - 4, y: top + 15 + (each - 20) / 2 + 4, 'text-anchor': 'end' }, words));
  });
  body.append(picture);
};
const drawHeat = (panel, body, width, height) => {
  const buckets = series(panel).map((line) => ({ ...line, le: line.labels.le === '+Inf' ? Infinity : Number(line.labels.le) })).sort((a, b) => a.le - b.le);
  const cells = buckets.map((bucket, index) => {
    const under = new Map(index ? buckets[index - 1].points : []);
    return bucket.points.map(([time, value]) => [time, Math.max(0, value - (under.get(time) || 0))]);
  });
  const used = cells.map((row, index) => [row, buckets[index]]).filter(([row]) => row.some(([, value]) => value > 0.01));
  if (!used.length) return;
  const most = Math.max(...used.flatMap(([row]) => row.map(([, value]) => value))), each = (height - 22) / used.length, left = 62;
  const picture = svg('svg', { width, height }), x = timeAxis(picture, left, width - left - 6, height - 18), step = answers.steps[panel.id];
  used.forEach(([row, bucket], index) => {
    const top = height - 20 - (index + 1) * each;
    picture.append(svg('text', { x: left - 6, y: top + each / 2 + 4, 'text-anchor': 'end' }, bucket.le === Infinity ? 'more' : '≤ ' + format(bucket.le, 's')));
    for (const [time, value] of row) {
      if (value > 0.01) picture.append(svg('rect', { x: x(time - step), y: top + 1, width: Math.max(1, x(time) - x(time - step) - 1), height: each - 2, fill: '#5794f2', opacity: 0.12 + 0.88 * Math.sqrt(value / most) }));
    }
  });
  body.append(picture);
};
const DRAW = { timeseries: drawLines, stat: drawStat, table: drawTable, 'state-timeline': drawStates, 'status-history': drawStates, bargauge: drawGauges, heatmap: drawHeat };

// --- the page
const grid = document.getElementById('grid');
const place = (panel, y) => {
  const { x, w, h } = panel.gridPos;
  const box = make('div', { className: 'panel' }, make('h2', { textContent: panel.title }));
  const width = w * COLUMN - 6, height = h * UNIT - 6;
  Object.assign(box.style, { left: `${x * COLUMN}px`, top: `${y * UNIT}px`, width: `${width}px`, height: `${height}px` });
  const body = make('div', { className: 'body' });
  box.append(body);
  grid.append(box);
  const empty = !panel.targets.some((target) => (answers[`${panel.id} ${target.refId}`] || []).length);
  if (empty) body.append(make('div', { className: 'none', textContent: panel.fieldConfig.defaults.noValue || 'No data' }));
  else DRAW[panel.type](panel, body, width - 18, height - 38);
};
let bottom = 0, shift = 0;
for (const panel of page.panels) {
  const y = panel.gridPos.y + shift;
  if (panel.type !== 'row') {
    place(panel, y);
    bottom = Math.max(bottom, y + panel.gridPos.h);
    continue;
  }
  const row = make('div', { className: 'row', textContent: `${choice.rows ? '▾' : '▸'} ${panel.title}` });
  row.append(make('small', { textContent: choice.rows ? '' : `${panel.panels.length} panel${panel.panels.length > 1 ? 's' : ''}` }));
  row.style.top = `${y * UNIT}px`;
  grid.append(row);
  bottom = Math.max(bottom, y + 1);
  if (!choice.rows) continue;
  const first = panel.gridPos.y + 1;
  for (const inner of panel.panels) {
    place(inner, y + 1 + inner.gridPos.y - first);
    bottom = Math.max(bottom, y + 1 + inner.gridPos.y - first + inner.gridPos.h);
  }
  shift = bottom - (panel.gridPos.y + 1);
}
grid.style.height = `${bottom * UNIT}px`;
document.querySelector('h1').textContent = page.title;
for (const [name, value] of Object.entries(choice.variables)) {
  document.querySelector('header .label').before(make('span', { className: 'choice' }, `${name} `, make('b', { textContent: value })));
}
