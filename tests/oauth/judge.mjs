// A certified authorization server as a judge of our sign-in: it consents to everything at once,
// requires PKCE and HTTP Basic, rotates refresh tokens, and counts what it sees at /counts.
//
// Usage: node judge.mjs PORT PATH-OF-OIDC-PROVIDER
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [port, home] = process.argv.slice(2);
const entry = createRequire(import.meta.url).resolve(home);
const { default: Provider } = await import(pathToFileURL(entry));

const issuer = `http://127.0.0.1:${port}`;
const counts = { requests: 0, grants: 0, revoked: 0, errors: [] };
const scopes = ['openid', 'offline_access', 'offline', 'read:self', 'read:chat'];

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'judged client',
    client_secret: 'a+secret %:of the client',
    redirect_uris: ['https://bot.example/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  clientAuthMethods: ['client_secret_basic'],
  scopes,
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async () => true,
  routes: { authorization: '/oauth2/auth', token: '/oauth2/token', revocation: '/oauth2/revoke' },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  loadExistingGrant: async (ctx) => {
    const grant = new provider.Grant({
      accountId: ctx.oidc.session.accountId,
      clientId: ctx.oidc.client.clientId,
    });
    grant.addOIDCScope(scopes.join(' '));
    await grant.save();
    return grant;
  },
  ttl: { AccessToken: 3, AuthorizationCode: 60, RefreshToken: 600, Grant: 600, Session: 600, Interaction: 60 },
  cookies: { keys: ['of a test'] },
});

provider.on('grant.success', () => { counts.grants += 1; });
provider.on('grant.revoked', () => { counts.revoked += 1; });
provider.on('grant.error', (_, error) => { counts.errors.push(error.error); });
provider.use(async (ctx, next) => {
  if (ctx.path === '/counts') { ctx.body = counts; return; }
  if (ctx.path === '/oauth2/token') counts.requests += 1;
  if (ctx.path.startsWith('/interaction/')) {
    const { prompt } = await provider.interactionDetails(ctx.req, ctx.res);
    const result = prompt.name === 'login' ? { login: { accountId: 'anna' } } : { consent: {} };
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
    return;
  }
  await next();
});
provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
