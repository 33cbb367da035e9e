// The login page: asks the admin API who is here and shows the one or the other. Texts only ever become text nodes.

let lastId = 0;

/** Makes an element. A string child becomes a text node. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A label with its field in it. */
function field(text, attributes) {
  lastId += 1;
  const input = element('input', { ...attributes, required: '', id: `field-${lastId}` });
  return { input, label: element('label', { for: `field-${lastId}` }, text, input) };
}

/** Where a form says what became of it. Screen readers read it out. */
function teller() {
  const told = element('p', { class: 'told', role: 'alert' });
  return {
    told,
    say(text, isBad) {
      told.setAttribute('class', isBad ? 'told bad' : 'told');
      told.textContent = text;
    },
  };
}

/** A form that sends itself once at a time, by `send`, which may say that it went wrong by throwing. */
function formOf(name, fields, buttonText, send) {
  const { told, say } = teller();
  const button = element('button', { type: 'submit', class: 'main' }, buttonText);
  const form = element('form', { 'aria-label': name }, ...fields.map(({ label }) => label), told, button);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    button.setAttribute('disabled', '');
    say('', false);
    try {
      say((await send()) ?? '', false);
    } catch (error) {
      say(error.message, true);
      fields[0].input.focus();
    } finally {
      button.removeAttribute('disabled');
    }
  });
  return form;
}

const heading = (text) => element('h1', { tabindex: '-1' }, text);

/** Only what a browser may go to: a provider's own words must not become a script. */
export function webAddress(text) {
  try {
    const url = new URL(text);
    return url.protocol === 'https:' || url.protocol === 'http:' ? url : null;
  } catch {
    return null;
  }
}

/** For whoever is not logged in. @param ways what `GET /admin/login` says @param note a sentence above the form, and where it leads */
export function loginView(ways, api, show, note = null) {
  const name = field('Name', { type: 'text', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false' });
  const password = field('Password', { type: 'password', autocomplete: 'current-password' });
  const form = formOf('Log in with a password', [name, password], 'Log in', async () => {
    try {
      await api('POST', '/admin/login', { name: name.input.value, password: password.input.value });
    } finally {
      password.input.value = '';
    }
    await show();
  });
  return [
    heading('Log in to SwarmRouter'),
    note === null ? null : noteView(note),
    form,
    ...(ways.oidc === null ? [] : providerView(ways.oidc)),
  ].filter((part) => part !== null);
}

function noteView({ text, address }) {
  const url = address === null ? null : webAddress(address);
  const link = url === null ? null : element('a', { href: url.href, rel: 'noreferrer' }, `Log out at ${url.host} too`);
  return element('p', { role: 'status' }, text, link === null ? null : ' ', link);
}

function providerView({ issuer, url }) {
  const host = webAddress(issuer)?.host ?? 'the identity provider';
  return [
    element('p', { class: 'or faint' }, 'or'),
    element('a', { class: 'button', href: url }, `Log in with ${host}`),
  ];
}

/** For whoever is. @param who what `GET /admin/session` says */
export function personView(who, api, show) {
  const facts = [
    ['Organisation', who.organisation],
    ['Roles', who.grants.map(roleText).join(', ') || 'none'],
    ['Logged in', who.login_method === 'oidc' ? 'at the identity provider' : 'with a password'],
  ].flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]);
  const { told, say } = teller();
  const out = element('button', { type: 'button' }, 'Log out');
  out.addEventListener('click', async () => {
    try {
      const { provider_logout_url: address = null } = await api('DELETE', '/admin/session', null);
      await show({ text: 'You are logged out here.', address });
    } catch (error) {
      say(error.message, true);
    }
  });
  return [
    heading(`Hello, ${who.name}`),
    element('dl', {}, ...facts),
    out,
    told,
    ...(who.login_method === 'password' ? passwordView(who, api) : []),
    element('p', {}, element('a', { href: '/docs' }, 'The API, with forms to try it')),
  ];
}

function roleText({ role, project }) {
  return project === null ? role : `${role} in ${project}`;
}

function passwordView(who, api) {
  // Password managers want to know whose it is.
  const name = element('input', { type: 'text', autocomplete: 'username', value: who.name, hidden: '', readonly: '' });
  const current = field('Current password', { type: 'password', autocomplete: 'current-password' });
  const next = field('New password, at least 12 characters', {
    ...{ type: 'password', autocomplete: 'new-password', minlength: '12', maxlength: '256' },
  });
  const again = field('New password again', { type: 'password', autocomplete: 'new-password' });
  const form = formOf('Change your password', [current, next, again], 'Change password', async () => {
    if (next.input.value !== again.input.value) throw new Error('The two new passwords are not the same.');
    await api('POST', '/admin/session/password', {
      current_password: current.input.value,
      new_password: next.input.value,
    });
    for (const { input } of [current, next, again]) input.value = '';
    return 'Changed. Your other sessions have ended.';
  });
  form.prepend(name);
  return [element('h2', {}, 'Change your password'), form];
}

/** Rejects with an Error whose message is for people. */
export async function callApi(method, path, body) {
  let reply;
  try {
    reply = await fetch(path, {
      method,
      headers: body === null ? {} : { 'content-type': 'application/json' },
      body: body === null ? null : JSON.stringify(body),
    });
  } catch {
    throw new Error('The gateway does not answer. Try again.');
  }
  const answer = await reply.json().catch(() => null);
  if (reply.ok) return answer;
  const error = new Error(answer?.error?.message ?? `The gateway answers with status ${reply.status}.`);
  error.status = reply.status;
  throw error;
}

async function start() {
  const page = document.getElementById('page');
  const put = (parts, isFirst) => {
    page.replaceChildren(...parts);
    // Where the page has become another one, reading begins anew.
    if (!isFirst) page.querySelector('h1')?.focus();
  };
  const show = async (note = null, isFirst = false) => {
    try {
      const who = await callApi('GET', '/admin/session', null).catch((error) => {
        if (error.status === 401) return null;
        throw error;
      });
      const parts =
        who === null
          ? loginView(await callApi('GET', '/admin/login', null), callApi, show, note)
          : personView(who, callApi, show);
      put(parts, isFirst);
    } catch (error) {
      put([heading('SwarmRouter'), element('p', { role: 'alert' }, error.message)], isFirst);
    }
  };
  await show(null, true);
}

if (typeof document !== 'undefined' && typeof location !== 'undefined') start();
