// The page's events, every one in this table: models announce, views listen. Keeps the modules free of import cycles.
const EVENTS = [
	// The connection
	'net',             // (state): connecting, ready, waiting, …
	'socketOpen',      // the socket is open; a join is wanted
	'frame',           // (frame) from the server
	'lost',            // the socket is gone
	'expelled',        // (isBan, reason): the server ended the session for good
	// The session
	'init',            // ({ isResumed, isNewHere, askedName }): the server has let this browser in
	'needName',        // (why: key of a text): nothing says who this is
	'signedOut',       // (hasEnded): this browser is left, by this tab or another one, and the server has ended the token or has yet to
	'needPassword',    // (code, waitMs)
	'crowded',         // (waitMs, isKnown): too many new people, or connections of this person; the page tries again by itself
	'lockedOut',       // (waitMs): a lockdown keeps new people out
	'refused',         // (error frame)
	'notice',          // (key of a text)
	'sync',            // catching up began or ended
	'lockdown',        // world.lockdown has changed
	'link',            // (frame): the sign-in link that was asked for
	'system',          // (frame): an announcement
	'who',             // (frame): an answer to a search
	// What the model holds
	'conv',            // (conversation): its messages or its state changed
	'list',            // the conversations, their order or their counts changed
	'people',          // the people, or whether they are online
	'typing',          // (conversation)
	'news',            // (conversation, message) by somebody else and unread
	'echo',            // (message) that some tab of this browser sent
	// The outbox and the player
	'posted',          // (conversation, entry)
	'progress',        // (entry) of an upload
	'player',          // (player): position, state or speed
	'played',          // (message): heard to its end
	// The views
	'lang',            // the language, the day or the time zone changed
	'open',            // (key): show this conversation
	'openDm',          // (id): show the private conversation with this person
	'showList',        // on a phone: show the list
	'opened',          // (key), null for the list: it is shown
	'view',            // (message): show its picture in full
	'focusComposer',
	'draft',           // the text in the composer changed
	'signOut',
];

const listeners = new Map(EVENTS.map((type) => [type, new Set()]));

function listenersOf(type) {
	const set = listeners.get(type);
	if (!set) throw new Error(`bus: no event "${type}"`);
	return set;
}

// Returns the way to stop listening.
export function on(type, fn) {
	const set = listenersOf(type);
	set.add(fn);
	return () => set.delete(fn);
}

export function emit(type, ...args) {
	for (const fn of listenersOf(type)) fn(...args);
}
