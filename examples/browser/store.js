/**
 * What a page keeps in IndexedDB: its key, whom it trusts, what it has read, what is on its way, and what was said.
 */

const SCHEMA = {
  facts: {},
  seen: { keyPath: ["from", "id"] },
  outbox: { keyPath: "id" },
  lines: { keyPath: "n" },
};

/** The database of this origin. */
export class Store {
  #database;

  constructor(database) {
    this.#database = database;
  }

  /** Open it, or make it. */
  static async open(name = "aiconexus") {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      for (const [store, options] of Object.entries(SCHEMA)) request.result.createObjectStore(store, options);
    };
    return new Store(await settled(request));
  }

  /** One fact, or undefined. */
  fact(name) {
    return settled(this.#database.transaction("facts").objectStore("facts").get(name));
  }

  /** All of a store, by key. */
  all(store) {
    return settled(this.#database.transaction(store).objectStore(store).getAll());
  }

  /** Keep a fact. */
  remember(name, value) {
    return this.write((of) => of("facts").put(value, name));
  }

  /**
   * Change several things, all or none.
   *
   * @param {(of: (store: string) => IDBObjectStore) => void} change
   */
  write(change) {
    const transaction = this.#database.transaction(Object.keys(SCHEMA), "readwrite", { durability: "relaxed" });
    change((store) => transaction.objectStore(store));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
