// What a person would see at once, measured by the browser in a frame as wide as a screen; the page around the frame
// says so in the end. Not part of any report.
const faults = [];
const said = {};
const say = (what, element, more = '') => {
    said[what] = (said[what] || 0) + 1;
    if (said[what] <= 5)
        faults.push(what + ': ' + more + element.outerHTML.slice(0, 120));
};
const seen = element => element.getClientRects().length > 0;

// Light over dark, as WCAG 2 computes it.
const channels = colour => colour.match(/[\d.]+/g).map(Number);
const luminance = colour => {
    const [r, g, b] = channels(colour).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
};
const background = element => {
    for (let e = element; e; e = e.parentElement) {
        const colour = getComputedStyle(e).backgroundColor;
        if (channels(colour)[3] !== 0)
            return colour;
    }
    return 'rgb(255, 255, 255)';
};

// Nothing of the page is wider than the screen but what is in a box that scrolls.
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth)
    faults.push('the page is ' + root.scrollWidth + ' wide on a screen of ' + root.clientWidth);
for (const element of document.querySelectorAll('body *')) {
    const box = element.getBoundingClientRect();
    if (seen(element) && !element.closest('.scroll') && (box.right > root.clientWidth + 0.5 || box.left < -0.5))
        say('beyond the screen', element);
}

// Every label lies in its drawing, and no two on each other.
for (const svg of document.querySelectorAll('svg')) {
    const frame = svg.getBoundingClientRect(), labels = [...svg.querySelectorAll('text')];
    if (frame.width < 200)
        say('a drawing too small to read', svg);
    const boxes = labels.map(label => label.getBoundingClientRect());
    boxes.forEach((box, i) => {
        if (box.left < frame.left - 0.5 || box.right > frame.right + 0.5 || box.top < frame.top - 0.5 ||
            box.bottom > frame.bottom + 0.5)
            say('a label cut off', labels[i]);
        // A line box is higher than its letters.
        const slack = 0.18 * box.height;
        for (let k = 0; k < i; k++)
            if (box.left < boxes[k].right && boxes[k].left < box.right && box.top + slack < boxes[k].bottom - slack &&
                boxes[k].top + slack < box.bottom - slack)
                say('a label on another', labels[i], labels[k].textContent + ' and ');
    });
    for (const path of svg.querySelectorAll('path')) {
        const box = path.getBoundingClientRect();
        if (box.left < frame.left - 2 || box.right > frame.right + 2 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2)
            say('a line beyond its drawing', path);
    }
}

// What is written can be read.
for (const element of document.querySelectorAll('body *')) {
    const words = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!words || !seen(element))
        continue;
    const style = getComputedStyle(element), colour = element.closest('svg') ? style.fill : style.color;
    if (contrast(colour, background(element)) < 4.5)
        say('low contrast', element);
}

const result = document.createElement('pre');
result.id = 'looked';
result.textContent = 'looked at ' + innerWidth + ' pixels, ' + document.querySelectorAll('svg').length + ' drawings, ' +
    (matchMedia('(prefers-color-scheme:dark)').matches ? 'dark' : 'light') + ': ' + faults.length + ' faults\n' +
    faults.join('\n');
parent.document.body.append(result);
