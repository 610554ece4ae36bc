// Emoji by shortcode and for the picker. One line a group: "code😀" pairs, most used first.
const TABLE = `smile😄 joy😂 rofl🤣 slight_smile🙂 wink😉 blush😊 heart_eyes😍 kiss😘 yum😋 tongue😛 cool😎 nerd🤓 think🤔 neutral😐 roll_eyes🙄 smirk😏 sleepy😪 sleep😴 sweat😅 cry😢 sob😭 angry😠 rage🤬 scream😱 flushed😳 shush🤫 zip🤐 hug🤗 party🥳 star_eyes🤩 mind_blown🤯 sick🤒 mask😷 dizzy😵 clown🤡 ghost👻 skull💀 robot🤖 alien👽 poop💩`
	+ ` +1👍 -1👎 ok👌 clap👏 pray🙏 wave👋 muscle💪 handshake🤝 point_up☝️ point_right👉 point_left👈 fingers_crossed🤞 victory✌️ horns🤘 fist✊ shrug🤷 facepalm🤦 eyes👀 brain🧠 ear👂`
	+ ` heart❤️ orange_heart🧡 yellow_heart💛 green_heart💚 blue_heart💙 purple_heart💜 black_heart🖤 broken_heart💔 sparkling_heart💖 fire🔥 sparkles✨ star⭐ 100💯 boom💥 zzz💤 tada🎉 balloon🎈 gift🎁 trophy🏆 medal🏅`
	+ ` cat🐱 dog🐶 fox🦊 bear🐻 panda🐼 penguin🐧 unicorn🦄 whale🐳 dolphin🐬 fish🐟 octopus🐙 crab🦀 bug🐛 bee🐝 turtle🐢 duck🦆 owl🦉 flower🌸 rose🌹 tree🌳 cactus🌵 sun☀️ moon🌙 cloud☁️ rain🌧️ snow❄️ rainbow🌈 ocean🌊 umbrella☔ lightning⚡`
	+ ` coffee☕ tea🍵 beer🍺 wine🍷 cake🍰 cookie🍪 pizza🍕 burger🍔 apple🍎 lemon🍋 cherry🍒 watermelon🍉 bread🍞 egg🥚 salt🧂`
	+ ` check✅ x❌ warning⚠️ question❓ exclamation❗ bell🔔 lock🔒 key🔑 bulb💡 pin📌 clip📎 pencil✏️ book📖 calendar📅 clock🕒 hourglass⏳ phone📱 computer💻 keyboard⌨️ camera📷 mic🎤 music🎵 game🎮 ball⚽ car🚗 bike🚲 train🚆 plane✈️ rocket🚀 ship🚢 house🏠 money💰 wrench🔧 hammer🔨 gear⚙️ bomb💣 anchor⚓`;

export const emoji = TABLE.split(' ').map((pair) => {
	const [, code, char] = /^([+\-\w]+)(.+)$/u.exec(pair);
	return { code, char };
});

const byCode = new Map(emoji.map((e) => [e.code, e.char]));

export const emojiOf = (code) => byCode.get(code.toLowerCase());

// Codes that begin with the word come before those that only contain it.
export function findEmoji(word, limit = 8) {
	const q = word.toLowerCase();
	const starts = emoji.filter((e) => e.code.startsWith(q));
	return [...starts, ...emoji.filter((e) => !starts.includes(e) && e.code.includes(q))].slice(0, limit);
}

const ONLY = /^(?:\p{Extended_Pictographic}[\p{Emoji_Modifier}\u{FE0F}]*(?:\u{200D}\p{Extended_Pictographic}[\p{Emoji_Modifier}\u{FE0F}]*)*\s?){1,3}$/u;

// One to three emoji and nothing else: shown large.
export const isEmojiOnly = (text) => text.length < 40 && ONLY.test(text);
