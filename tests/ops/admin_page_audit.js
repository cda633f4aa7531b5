// What an accessibility audit looks at, worked out in the page: returns a list of complaints.
const complaints = [];
const visible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

// -- contrast: WCAG 2.2, 1.4.3 (text) -----------------------------------------------------------------------------
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
function rgba(color) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return { rgb: [r, g, b], alpha: a / 255 };
}
const mixed = (over, under, alpha) => over.map((value, place) => value * alpha + under[place] * (1 - alpha));
function ground(element) {
  if (!element) return rgba(getComputedStyle(document.documentElement).colorScheme.includes("dark") ? "#000" : "#fff").rgb;
  const { rgb, alpha } = rgba(getComputedStyle(element).backgroundColor);
  return alpha === 1 ? rgb : mixed(rgb, ground(element.parentElement), alpha);
}
function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(one, other) {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}
let texts = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !visible(element) || element.closest(".unseen, .skip, :disabled, noscript")) continue;
  texts += 1;
  const style = getComputedStyle(element);
  const color = rgba(element instanceof SVGElement ? style.fill : style.color);
  const below = ground(element);
  const found = contrast(mixed(color.rgb, below, color.alpha), below);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (found < (large ? 3 : 4.5)) complaints.push(`contrast ${found.toFixed(2)}: ${walker.currentNode.data.trim().slice(0, 40)}`);
}
if (texts < 60) complaints.push(`only ${texts} texts were looked at`);

// -- contrast of what is drawn: 1.4.11 ------------------------------------------------------------------------------
for (const line of document.querySelectorAll(".slider .line, .slider .area")) {
  const found = contrast(rgba(getComputedStyle(line).stroke).rgb, ground(line.closest("figure")));
  if (found < 3) complaints.push(`contrast ${found.toFixed(2)}: line ${line.getAttribute("class")}`);
}

// -- sizes of what is pressed: 2.5.8; and what is wider than the window ------------------------------------------------
for (const button of document.querySelectorAll("button, summary, input")) {
  const { width, height } = button.getBoundingClientRect();
  if (visible(button) && (width < 24 || height < (button.tagName === "SUMMARY" ? 16 : 24))) complaints.push(`small: ${button.textContent}`);
}
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) complaints.push(`${root.scrollWidth} wide in ${root.clientWidth}`);
for (const element of document.body.querySelectorAll("*")) {
  const { left, right, width } = element.getBoundingClientRect();
  if (width && visible(element) && (right > root.clientWidth + 1 || left < -1) && !element.closest(".skip, .unseen, thead")) {
    complaints.push(`out of the window: ${element.tagName} ${element.className.baseVal ?? element.className}`);
  }
}

// -- order and names --------------------------------------------------------------------------------------------------
const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) complaints.push(`id twice: ${id}`);
for (const element of document.querySelectorAll("[tabindex]")) if (element.tabIndex > 0) complaints.push("a tabindex above 0");
for (const name of ["aria-labelledby", "aria-describedby"]) {
  for (const element of document.querySelectorAll(`[${name}]`)) {
    if (!document.getElementById(element.getAttribute(name))) complaints.push(`${name} names nothing`);
  }
}
let level = 0;
for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
  if (!visible(heading)) continue;
  const here = Number(heading.tagName[1]);
  if (here > level + 1) complaints.push(`heading ${heading.textContent} skips a level`);
  level = here;
}
if (document.documentElement.lang !== "en") complaints.push("no language");
if (!document.title) complaints.push("no title");
return complaints;
