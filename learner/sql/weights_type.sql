-- From version 1 to 2: the form of the weights that sample a group (enum weights_type).
ALTER TABLE groups ADD COLUMN weights_type TEXT NOT NULL DEFAULT 'f32'
  CHECK (weights_type IN ('f32', 'bf16', 'int8'));
