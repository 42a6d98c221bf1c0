'use strict';
(() => {
  const { classes, images } = JSON.parse(document.getElementById('data').textContent);
  const by = (id) => document.getElementById(id);
  const gallery = by('gallery'), large = by('large');
  const share = (x) => (100 * x).toFixed(x < 0.0995 ? 2 : 1) + ' %';
  const url = (card) => card.u ?? card.i;
  let view = 3, shown = [], open = -1;

  function make(tag, name, text) {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function card(image, place) {
    const node = make('button', 'shot');
    node.type = 'button';
    node.title = image.i;
    if (image.p) {
      node.append(make('span', 'lost', image.p));
    } else {
      const frame = make('span', 'frame');
      frame.style.aspectRatio = `${image.w} / ${image.h}`;
      const picture = make('img');
      picture.loading = 'lazy';
      picture.decoding = 'async';
      picture.alt = '';
      picture.src = `thumbs/${url(image)}.jpg`;
      frame.append(picture);
      node.append(frame);
    }
    const text = make('span', 'text');
    text.append(make('span', 'title', image.i));
    if (!image.p) {
      const meter = make('span', 'meter'), part = make('i');
      part.style.width = `${100 * image.m}%`;
      meter.append(part);
      const numbers = make('span', 'numbers');
      numbers.append(make('span', '', `≈ ${share(image.m)} wrong`));
      numbers.append(make('span', '', `${share(image.f)} flagged`));
      text.append(meter, numbers);
    }
    node.append(text);
    node.addEventListener('click', () => enlarge(shown.indexOf(place)));
    return node;
  }

  const cards = images.map(card);
  gallery.append(...cards);

  // Filters, of what there is.
  const counts = classes.map(() => 0), groups = new Map();
  let problems = 0;
  for (const image of images) {
    for (const index of image.c ?? []) if (index >= 0) counts[index] += 1;
    groups.set(image.g, (groups.get(image.g) ?? 0) + 1);
    if (image.p) problems += 1;
  }
  function option(select, value, text) {
    const node = make('option', '', text);
    node.value = value;
    by(select).append(node);
  }
  classes.forEach(({ name }, index) => {
    if (counts[index]) option('class', index, `${name} (${counts[index]})`);
  });
  for (const group of [...groups.keys()].sort()) {
    option('group', group, `${group || '(top)'} (${groups.get(group)})`);
  }
  by('group-label').hidden = groups.size < 2;
  by('problem-label').hidden = problems === 0;
  for (const { name, color } of classes) {
    const item = make('span'), swatch = make('span', 'swatch');
    swatch.style.background = color;
    item.append(swatch, name);
    by('classes').append(item);
  }

  function filter() {
    const wanted = by('class').value, group = by('group').value;
    const problem = by('problem').value;
    const words = by('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = [];
    images.forEach((image, place) => {
      const fits =
        (wanted === '' || (image.c ?? []).includes(Number(wanted))) &&
        (group === '*' || image.g === group) &&
        (problem === '' || Boolean(image.p) === (problem === 'yes')) &&
        words.every((word) => image.i.toLowerCase().includes(word));
      cards[place].hidden = !fits;
      if (fits) shown.push(place);
    });
    by('count').textContent = `${shown.length} of ${images.length}`;
    by('none').hidden = shown.length > 0;
  }

  function look(next) {
    view = next;
    gallery.dataset.view = by('stage').dataset.view = view;
    for (const button of document.querySelectorAll('[data-view][type=button]')) {
      button.setAttribute('aria-pressed', String(Number(button.dataset.view) === view));
    }
    by('classes').hidden = view !== 1;
    by('scale').hidden = view !== 2;
    by('flagged').hidden = view !== 3;
    if (large.open) draw();
  }

  // One image, as large as it fits.
  const picture = by('picture'), small = by('small'), box = by('box');

  function enlarge(place) {
    if (place < 0 || place >= shown.length) return;
    open = place;
    if (!large.open) large.showModal();
    draw();
  }

  function files(image) {
    const name = url(image);
    return [image.o, `labels/${name}.png`, `failure/${name}.png`, `overlay/${name}.jpg`];
  }

  function draw() {
    const image = images[shown[open]];
    const source = image.p ? undefined : files(image)[view];
    small.hidden = Boolean(image.p) || source !== undefined;
    picture.hidden = source === undefined;
    if (source !== undefined) {
      if (picture.getAttribute('src') !== source) picture.src = source;
      picture.style.filter = ['', 'url(#labels)', 'url(#failure)', ''][view];
      picture.className = view === 1 ? '' : 'smooth';
    }
    if (!image.p) small.firstChild.src = `thumbs/${url(image)}.jpg`;
    describe(image);
    place(image);
  }

  // An image that has been moved away is shown small.
  picture.addEventListener('error', () => {
    if (large.open && !picture.hidden) {
      picture.hidden = true;
      small.hidden = false;
    }
  });

  function place(image) {
    box.hidden = !image.b || view === 0;
    if (image.p) return;
    const stage = by('stage');
    const scale = Math.min(stage.clientWidth / image.w, stage.clientHeight / image.h);
    const width = image.w * scale, height = image.h * scale;
    const left = (stage.clientWidth - width) / 2, top = (stage.clientHeight - height) / 2;
    for (const node of [picture, small]) {
      Object.assign(node.style, {
        left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px`,
      });
    }
    if (image.b) {
      const [x, y, w, h] = image.b;
      Object.assign(box.style, {
        left: `${left + x * scale}px`, top: `${top + y * scale}px`,
        width: `${w * scale}px`, height: `${h * scale}px`,
      });
    }
  }

  function describe(image) {
    by('name').textContent = image.i;
    const details = by('details');
    details.replaceChildren();
    const row = (name, value) => details.append(make('dt', '', name), make('dd', '', value));
    row('Rank', `${shown[open] + 1} of ${images.length}`);
    if (image.p) {
      row('Problem', image.p);
    } else {
      row('Expected misclassified', share(image.m));
      row('P(wrong), 90 % quantile', share(image.q));
      row('Flagged', share(image.f));
      row('Wrong of what passes', share(image.e));
      row('Flagged regions', String(image.n));
      if (image.b) row('Largest region (dashed)', classes[image.k]?.name ?? 'no class');
      if (image.s !== undefined) row('As uncertain when calibrated', share(image.s));
      row('Size', `${image.w}\u00a0×\u00a0${image.h}`);
    }
    const links = by('links');
    links.replaceChildren();
    if (!image.p) {
      ['image', 'labels', 'failure map', 'overlay'].forEach((name, index) => {
        const source = files(image)[index];
        if (source === undefined) return;
        const link = make('a', '', name);
        link.href = source;
        links.append(link);
      });
    }
    by('before').disabled = open === 0;
    by('after').disabled = open === shown.length - 1;
  }

  function move(step) {
    const places = shown.map((place) => cards[place]);
    const now = places.indexOf(document.activeElement);
    const next = places[now < 0 ? 0 : now + step];
    if (next) {
      next.focus();
      next.scrollIntoView({ block: 'nearest' });
    }
  }

  function columns() {
    return getComputedStyle(gallery).gridTemplateColumns.split(' ').length;
  }

  document.addEventListener('keydown', (event) => {
    const typing = ['INPUT', 'SELECT'].includes(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape' && typing) return event.target.blur();
    if (typing) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() };
    if ('1' <= event.key && event.key <= '4') look(Number(event.key) - 1);
    else if (event.key === '/') by('search').focus();
    else if (event.key in steps && large.open) enlarge(open + Math.sign(steps[event.key]));
    else if (event.key in steps) move(steps[event.key]);
    else return;
    event.preventDefault();
  });
  for (const button of document.querySelectorAll('button[data-view]')) {
    button.addEventListener('click', () => look(Number(button.dataset.view)));
  }
  for (const id of ['class', 'group', 'problem']) by(id).addEventListener('change', filter);
  by('search').addEventListener('input', filter);
  by('before').addEventListener('click', () => enlarge(open - 1));
  by('after').addEventListener('click', () => enlarge(open + 1));
  by('close').addEventListener('click', () => large.close());
  large.addEventListener('close', () => cards[shown[open]]?.focus());
  window.addEventListener('resize', () => large.open && place(images[shown[open]]));
  filter();
  look(view);
  // A page may be asked for one of its images, and for a view: index.html#3/2.
  const [first, wanted] = location.hash.slice(1).split('/').map(Number);
  if (wanted >= 1 && wanted <= 4) look(wanted - 1);
  if (first >= 1) enlarge(first - 1);
})();
